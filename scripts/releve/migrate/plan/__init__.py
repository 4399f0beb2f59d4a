"""What a migration would do, in which order, and what stands in its way."""

from __future__ import annotations

from releve.migrate.plan.make import GuestPlan, make_plan, permit
from releve.migrate.plan.order import order, waves
from releve.migrate.plan.terms import Terms

__all__ = ["GuestPlan", "Terms", "make_plan", "order", "permit", "waves"]
