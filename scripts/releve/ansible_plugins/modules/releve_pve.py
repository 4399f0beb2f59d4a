"""Documentation of the action plugin releve_pve, where Ansible and its linter look for it."""

DOCUMENTATION = """
module: releve_pve
short_description: Keep roles, users, tokens, pools, storages and ACL entries of Proxmox VE
description:
  - Runs on the controller, over the API; check mode and diff are those of the run that follows.
  - Objects that are not named are left alone. One whose value is null is removed.
  - An object that the caller may not see stops the run, as does a field that PVE cannot change.
  - The password of C(user) comes from the variable C(pve_api_password).
options:
  objects:
    description: Kind (role, user, token, pool, storage, acl), then id, then fields.
    type: dict
    required: true
  address:
    description: Where the API listens.
    type: str
    required: true
  port:
    description: TCP port of the API.
    type: int
    default: 8006
  user:
    description: Who logs in.
    type: str
    default: root@pam
  ca_file:
    description: Authority that vouches for the API's certificate; the system's without it.
    type: path
  token_folder:
    description: Folder on the controller; secrets of new tokens go into C(.tokens/HOST) below it.
    type: path
    required: true
author: releve
"""

EXAMPLES = """
- name: Keep the pool of the services
  releve_pve:
    address: 198.51.100.11
    ca_file: /etc/ssl/pve-root-ca.pem
    token_folder: /srv/town
    objects:
      pool:
        services: {comment: Services of the town hall}
"""
