"""Views: pictures and tables drawn from designs, plans and statuses."""
