"""Proxmox VE: its API, the objects that the town wants in it, and its guests."""
