"""Manifest -> desired entities -> plan against what is there -> execution of the plan."""
