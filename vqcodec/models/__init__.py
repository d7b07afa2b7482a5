"""A loaded model and how it is found: architecture, weights file, engines, adapters to models of others."""
