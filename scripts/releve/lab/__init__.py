"""The embedded town hall: hosts in containers, guests in QEMU, a network that leads nowhere."""
