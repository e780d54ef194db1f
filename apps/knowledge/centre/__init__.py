"""The help centre: public pages over published articles."""
