"""The steps of a failover as this router sees them: when it leads clients to the new leader."""

from holdfast.components.haproxy.build import UNIT
from holdfast.model.fault import Milestone

MILESTONES = (Milestone("route", UNIT, r"Server (sql_leader|cache_primary)/\S+ is UP"),)
