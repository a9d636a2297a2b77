.DEFAULT_GOAL := help
.PHONY: help demo test check fix docs bench clean distclean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: ## a cluster on real machines, a power cut, and what clients saw of it
	@scripts/demo

test: ## every test, those on real machines included
	@scripts/test

check: ## the fast loop: lint, types, pure tests
	@scripts/check

fix: ## repair what a machine can repair
	@scripts/fix

docs: ## write generated pages and golden files anew
	@scripts/docs

bench: ## measure a plan with nothing to change, and what failures cost clients (three hours)
	@scripts/bench

clean: ## remove every lab: machines, bridges, nft tables, mounts, images
	@scripts/clean

distclean: clean ## also the Python environment and all caches
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
