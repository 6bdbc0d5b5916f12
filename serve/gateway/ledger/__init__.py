"""Tenants' money: what each may spend, what it has spent, and the rows that say so, on disk.

A request holds back the most that it may cost before it is sent anywhere and is settled with what it did cost. Both
touch memory only (`account`): each worker leases a part of a tenant's budget from the store, and renews it ahead of
need in the transaction that writes its rows.
"""
