# Written by Holdfast. Changes made here are shown as drift and undone by the next apply.
# So that `patronictl list` works for root on this host.
export PATRONICTL_CONFIG_FILE=/etc/patroni/config.yml
