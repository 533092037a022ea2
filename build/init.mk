# isle-init: Embedded Swift, linked statically against musl. Sources/GuestCore is compiled into it.

SWIFTC ?= swiftc
INIT_BUILD ?= .build/embedded
INIT_SOURCES := $(wildcard Sources/GuestCore/*.swift) $(wildcard Sources/isle-init/*.swift)
INIT_TABLES := $(dir $(shell command -v $(SWIFTC)))../lib/swift/embedded/$(shell uname -m)-unknown-linux-gnu/libswiftUnicodeDataTables.a

.PHONY: init
init: $(INIT_BUILD)/isle-init

$(INIT_BUILD)/isle-init: $(INIT_SOURCES) $(wildcard Sources/CHost/include/*.h) build/init.mk
	mkdir -p $(INIT_BUILD)/chost
	printf 'module CHost { umbrella header "%s/Sources/CHost/include/CHost.h" export * }\n' "$(CURDIR)" \
		> $(INIT_BUILD)/chost/module.modulemap
	$(SWIFTC) -swift-version 6 -wmo -Osize -enable-experimental-feature Embedded \
		-I $(INIT_BUILD)/chost -c $(INIT_SOURCES) -module-name isle_init -o $(INIT_BUILD)/isle-init.o
	musl-gcc -static -s -Wl,--gc-sections -o $@ $(INIT_BUILD)/isle-init.o $(INIT_TABLES)
