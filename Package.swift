// swift-tools-version: 6.2
import PackageDescription

// Every Swift target is compiled alike: Swift 6, warnings as errors, the upcoming features that make
// imports and existentials explicit.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func program(
    _ name: String, _ dependencies: [Target.Dependency], flags: [String] = [], releaseFlags: [String] = []
) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, swiftSettings: settings,
        linkerSettings: [
            .unsafeFlags(["-use-ld=lld"] + flags), .unsafeFlags(releaseFlags, .when(configuration: .release)),
        ])
}

func tests(_ target: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: target + "Tests", dependencies: [.byName(name: target)] + dependencies, swiftSettings: settings)
}

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let nioHTTPTypes: Target.Dependency = .product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioHTTPTypesHTTP1: Target.Dependency = .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let x509: Target.Dependency = .product(name: "X509", package: "swift-certificates")
let asn1: Target.Dependency = .product(name: "SwiftASN1", package: "swift-asn1")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let asyncHTTPClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let tomlKit: Target.Dependency = .product(name: "TOMLKit", package: "TOMLKit")

let package = Package(
    name: "isle",
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.90.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.30.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.30.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.0.0"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.0"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.6.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.8.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.30.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.20.0", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.9.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    ],
    targets: [
        // Values and protocols
        module("Model", []),
        module("WireTypes", ["Model"]),
        module("DriverKit", ["Model"]),
        // Mechanisms: one each, usable alone
        .target(name: "CHost"),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .target(name: "CWasmtime"),
        .systemLibrary(name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
        .systemLibrary(name: "CNftables", pkgConfig: "libnftables", providers: [.apt(["libnftables-dev"])]),
        .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        module("LinuxHost", ["Model", "CHost"]),
        module("Netlink", ["Model", "CHost"]),
        module("Nftables", ["Model", "CNftables"]),
        module("QMP", ["Model", "CHost", "LinuxHost"]),
        module("GuestCore", ["CHost"]),
        module("Archive", ["Model", "CHost", "LinuxHost", "CArchive", crypto]),
        module("DiskImages", ["Model", "LinuxHost", "Archive", "CHost"]),
        module("OCI", ["Model", crypto]),
        module("ContentStore", ["Model", "LinuxHost", "OCI", crypto]),
        module(
            "Registry",
            [
                "Model", "LinuxHost", "OCI", "ContentStore", crypto, asyncHTTPClient, nioCore, nioHTTP1, nioSSL,
                logging, tomlKit,
            ]),
        module("ImageFormats", ["Model", "LinuxHost", "OCI", "ContentStore", "Archive", "DiskImages", crypto, yams]),
        module("StateStore", ["Model", grdb]),
        module("ShimCore", ["CHost"]),
        module("ShimClient", ["Model", "CHost", "LinuxHost", "ShimCore"]),
        // Drivers
        module("ContainerDriver", ["Model", "DriverKit", "LinuxHost", "ShimClient", "CSeccomp", "CHost"]),
        module(
            "MachineDriver",
            ["Model", "DriverKit", "LinuxHost", "ShimClient", "ShimCore", "QMP", "GuestCore", "CHost"]),
        module("ModuleDriver", ["Model", "DriverKit", "LinuxHost", "ShimClient", "CHost", crypto]),
        module("PoolTrees", ["Model", "LinuxHost"]),
        module("BtrfsStorage", ["Model", "DriverKit", "LinuxHost", "PoolTrees", "CHost"]),
        module(
            "OverlayStorage",
            ["PoolTrees", "Model", "DriverKit", "LinuxHost", "Archive", "DiskImages", "ImageFormats", "CHost"]),
        module("BridgeNetwork", ["Model", "DriverKit", "LinuxHost", "Netlink", "Nftables", "CHost", logging]),
        module(
            "ImageDepot",
            [
                "Model", "DriverKit", "LinuxHost", "OCI", "ContentStore", "Registry", "ImageFormats", "Archive",
                "DiskImages",
            ]),
        module(
            "RemoteImages",
            ["Model", "DriverKit", "LinuxHost", asyncHTTPClient, nioCore, nioHTTP1, nioSSL, crypto]),
        module("BuildahBuilder", ["Model", "DriverKit", "LinuxHost", "Archive"]),
        module("CertificateKit", ["Model", "DriverKit", "LinuxHost", crypto, cryptoExtras, x509, asn1]),
        // Engine and doors
        module("Engine", ["Model", "DriverKit", "StateStore", logging]),
        module(
            "DoorKit",
            [
                "Model", "LinuxHost", "CHost", hummingbird, hummingbirdCore, nioCore, nioPosix, nioHTTP1, nioHTTPTypes,
                nioHTTPTypesHTTP1, nioTLS, nioSSL, httpTypes, logging, lifecycle,
            ]),
        module(
            "RESTDoor",
            [
                "Model", "Engine", "WireTypes", "DriverKit", "DoorKit", "LinuxHost", hummingbird, hummingbirdCore,
                nioCore, httpTypes, logging, lifecycle,
            ]),
        module(
            "DockerDoor",
            [
                "Model", "Engine", "DriverKit", "DoorKit", "LinuxHost", "Archive", "CHost", hummingbird,
                hummingbirdCore,
                nioCore, httpTypes, logging, lifecycle,
            ]),
        module("Client", ["Model", "WireTypes", "CHost"]),
        // Programs
        module("CLIKit", ["WireTypes"]),
        module("StackKit", ["CLIKit", "WireTypes", "CYAML"]),
        program(
            "isle", ["Client", "CLIKit", "StackKit", "Model", "WireTypes", "CHost", argumentParser],
            // Started for every command: loading libraries and relocating would be a third of its time.
            releaseFlags: ["-static-executable"]),
        program(
            "isled",
            [
                "Model", "DriverKit", "Engine", "RESTDoor", "DockerDoor", "StateStore", "ContainerDriver",
                "MachineDriver", "ModuleDriver", "OverlayStorage", "BtrfsStorage", "BridgeNetwork", "ImageDepot",
                "RemoteImages",
                "BuildahBuilder", "CertificateKit", "LinuxHost", "DoorKit", "WireTypes",
                argumentParser, logging, lifecycle, unixSignals, "CHost",
            ]),
        module("EngineTesting", ["Model", "DriverKit", "LinuxHost", "Archive", "OCI", "ContentStore"]),
        // Runs in a root where the toolchain's shared libraries are not to be seen.
        program("isle-wasm", ["CWasmtime"], flags: ["-static-stdlib"]),
        // Tests
        tests("Model"),
        tests("QMP", ["Model", "LinuxHost"]),
        tests("GuestCore", ["CHost"]),
        tests("ContainerDriver", ["Model", "DriverKit", "LinuxHost", "ShimClient"]),
        tests("MachineDriver", ["Model", "DriverKit", "LinuxHost", "ShimClient", "QMP", "GuestCore"]),
        tests("DriverKit", ["Model", "EngineTesting"]),
        tests("StateStore", ["Model", grdb]),
        tests("ModuleDriver", ["Model", "DriverKit", "ShimCore"]),
        tests("Engine", ["Model", "DriverKit", "StateStore", "EngineTesting", logging, grdb]),
        tests("Client", ["WireTypes", "Model", "CHost", "isle"]),
        tests("CLIKit", ["WireTypes"]),
        tests("StackKit", ["CLIKit", "WireTypes"]),
        tests("LinuxHost", ["Model", "CHost"]),
        tests("WireTypes"),
        tests(
            "RESTDoor",
            [
                "Model", "Engine", "EngineTesting", "StateStore", "DriverKit", "DoorKit", "WireTypes", "LinuxHost",
                "CHost",
                hummingbirdCore, httpTypes, nioCore, logging,
            ]),
        tests("DockerDoor", ["Model", "Engine", "DriverKit", nioCore]),
        tests(
            "DoorKit",
            [
                "Model", "LinuxHost", "CertificateKit", "DriverKit", hummingbird, nioCore, nioPosix, nioSSL, httpTypes,
                logging,
            ]),
        tests("CertificateKit", ["Model", "DriverKit", crypto, x509, asn1]),
        tests("Netlink", ["Model"]),
        tests("Nftables", ["Model", "Netlink"]),
        tests("BridgeNetwork", ["Model", "DriverKit", "LinuxHost", "Netlink", "Nftables", logging]),
        tests("Archive", ["Model", "LinuxHost", "CHost", crypto]),
        tests("DiskImages", ["Model", "LinuxHost", "Archive"]),
        tests("BtrfsStorage", ["Model", "DriverKit", "LinuxHost", "PoolTrees", "OverlayStorage", "EngineTesting"]),
        tests("OverlayStorage", ["Model", "DriverKit", "LinuxHost", "Archive", "DiskImages", "EngineTesting"]),
        tests("ShimCore"),
        tests("ShimClient", ["Model", "LinuxHost", "ShimCore", "CHost"]),
        tests("OCI", ["Model"]),
        tests("ContentStore", ["Model", "OCI", "LinuxHost", "EngineTesting"]),
        tests(
            "Registry", ["Model", "OCI", "LinuxHost", "ContentStore", nioCore, nioPosix, nioHTTP1]),
        tests("ImageFormats", ["Model", "OCI", "LinuxHost", "ContentStore", "Archive"]),
        tests("RemoteImages", ["Model", "DriverKit", "LinuxHost"]),
        tests("BuildahBuilder", ["Model", "DriverKit", "LinuxHost"]),
        tests("ImageDepot", ["Model", "DriverKit", "LinuxHost", "OCI", "ContentStore"]),
    ]
)
