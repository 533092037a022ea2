include build/shim.mk
