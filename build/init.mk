# isle-init: Embedded Swift, linked statically with musl. One module of Sources/GuestCore and Sources/isle-init.

SWIFTC ?= swiftc
MUSL_GCC ?= musl-gcc
INIT_SOURCES := $(wildcard Sources/GuestCore/*.swift Sources/isle-init/*.swift)
INIT_TABLES = $(dir $(realpath $(shell command -v $(SWIFTC))))../lib/swift/embedded/$(shell uname -m)-unknown-linux-gnu/libswiftUnicodeDataTables.a

out/isle-init: $(INIT_SOURCES) $(wildcard Sources/CHost/include/*.h) build/init.mk
	@mkdir -p out/init-chost
	@printf 'module CHost { umbrella header "%s/Sources/CHost/include/CHost.h" export * }\n' "$(CURDIR)" \
		> out/init-chost/module.modulemap
	$(SWIFTC) -swift-version 6 -enable-experimental-feature Embedded -wmo -Osize -warnings-as-errors \
		-I out/init-chost -module-name isle_init -emit-object -o out/isle-init.o $(INIT_SOURCES)
	$(MUSL_GCC) -static -Wl,--gc-sections -s -o $@ out/isle-init.o $(INIT_TABLES)
	@rm -rf out/isle-init.o out/init-chost
