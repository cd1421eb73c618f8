"""Outputs to a verdict: probes, noise floor, planted faults, ledger, comparison."""
