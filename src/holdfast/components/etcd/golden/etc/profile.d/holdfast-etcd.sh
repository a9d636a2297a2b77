# Written by Holdfast. Changes made here are shown as drift and undone by the next apply.
# So that `etcdctl member list` works for root on this host.
export ETCDCTL_ENDPOINTS=https://127.0.0.1:2379
export ETCDCTL_CACERT=/etc/etcd/tls/ca.crt
export ETCDCTL_CERT=/etc/etcd/tls/host.crt
export ETCDCTL_KEY=/etc/etcd/tls/host.key
