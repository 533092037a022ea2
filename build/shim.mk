# isle-shim: Embedded Swift, linked statically with musl. One module of Sources/ShimCore and Sources/isle-shim.

SWIFTC ?= swiftc
MUSL_GCC ?= musl-gcc
EMBEDDED_TARGET := $(shell uname -m)-unknown-linux-gnu
EMBEDDED_LIBRARIES = $(dir $(realpath $(shell command -v $(SWIFTC))))../lib/swift/embedded/$(EMBEDDED_TARGET)
# The C headers are musl's, with the kernel's own behind them.
EMBEDDED_FLAGS = -swift-version 6 -enable-experimental-feature Embedded -wmo -Osize -parse-as-library \
	-warnings-as-errors -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault \
	-Xcc -D_GNU_SOURCE -Xcc -isystem -Xcc /usr/include/$(shell uname -m)-linux-musl \
	-Xcc -ffunction-sections -Xcc -fdata-sections -Xcc -fmodule-map-file=build/embedded/module.modulemap \
	-Xfrontend -function-sections

SHIM_SOURCES := $(wildcard Sources/ShimCore/*.swift Sources/isle-shim/*.swift)

out/isle-shim: $(SHIM_SOURCES) $(wildcard Sources/CHost/include/host_shim*.h Sources/CHost/embedded/*.h) build/embedded/module.modulemap build/shim.mk
	@mkdir -p out
	$(SWIFTC) $(EMBEDDED_FLAGS) -module-name isle_shim -emit-object -o out/isle-shim.o $(SHIM_SOURCES)
	$(MUSL_GCC) -static -Wl,--gc-sections -s -o $@ out/isle-shim.o $(wildcard $(EMBEDDED_LIBRARIES)/libswiftUnicodeDataTables.a)
	@rm -f out/isle-shim.o
