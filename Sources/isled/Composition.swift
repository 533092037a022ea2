import BridgeNetwork
import BtrfsStorage
import BuildahBuilder
import CHost
import CertificateKit
import ContainerDriver
import DockerDoor
import DoorKit
import DriverKit
import Engine
import FoundationEssentials
import Glibc
import ImageDepot
import LinuxHost
import Logging
import MachineDriver
import Model
import ModuleDriver
import OverlayStorage
import RESTDoor
import RemoteImages
import StateStore
import WireTypes

/// Puts the daemon together: the one place that knows every driver, store and door.
struct Composition {
    let engine: Engine
    let door: RESTDoor
    let remote: RemoteListeners
    let dockerDoor: DockerDoor
    let depot: ImageDepot
    private let store: StateStore
    private let cgroups: CgroupHost
    private let logger: Logger

    init(_ options: Options, events: EventBus, logger: Logger) async throws {
        let layout = HostLayout(state: options.stateDir, run: options.runDir)
        let programs = try Programs(directory: options.libDir)
        try Folders.make(layout)
        let store = try StateStore(path: layout.database)
        let storage = try OverlayStorage(stateDirectory: layout.state)
        let network = try BridgeNetwork(
            BridgeNetwork.Configuration(runDirectory: layout.run), log: logger)
        let cgroups = try CgroupHost.host(parent: Self.cgroupParent(options))
        let machines = MachineDriver(
            paths: MachineDriver.Paths(
                shim: programs.shim, initProgram: programs.initProgram, stateDirectory: layout.state),
            cgroups: cgroups)
        let containers = try ContainerDriver(
            ContainerDriverConfiguration(
                shim: programs.shim, cgroupParent: cgroups.parent, cacheDirectory: layout.state + "/seccomp"))
        let modules = ModuleDriver(
            programs: ModulePrograms(runner: programs.wasm, shim: programs.shim, library: programs.library),
            cacheDirectory: layout.modules, cgroups: cgroups)
        let disks = try OverlayDisks(stateDirectory: layout.state, storage: storage)
        // Without a certificate that can be used there are no remote clients; everybody else is served.
        let identity = Result { try ServerIdentity(folder: layout.state, name: Self.hostName) }
        let tls = identity.flatMap { identity in
            Result {
                try TLSServer(
                    chain: identity.chain, key: identity.key, fingerprint: { CertificateReader.fingerprint(der: $0) })
            }
        }
        let btrfs = BtrfsDriver(images: layout.pools, mounts: layout.run + "/pools")
        let standardNetwork = try await Self.network(options, store)
        // Last of what can fail: its client must be shut down once it was made.
        let depot = try ImageDepot(
            root: layout.images, temporary: layout.temporary, environment: try await Self.environment(store))
        let parts = EngineParts(
            layout: layout, store: store, drivers: [containers, machines, modules], snapshotter: storage,
            storage: [
                FolderDriver(layers: storage, parent: layout.pools), btrfs,
            ],
            disks: disks, network: network, source: depot,
            folders: HostFolders(), filler: storage,
            imaging: ImagingParts(
                archiver: storage, disks: disks, maker: depot, bundles: depot,
                remotes: RemoteImages(policy: AddressPolicy(allowsLocal: options.localImageServers)),
                builder: BuildahBuilder(stateDirectory: layout.state, runDirectory: layout.run),
                registry: depot, backups: storage),
            trust: (try? identity.get()).map { ServerTrust($0) }, events: events, logger: logger,
            hostMemory: Self.hostMemory,
            checks: [
                { await btrfs.check() },
                { await network.check() },
                { [IDRangeCheck.host(first: EngineParts.standardFirstID, slots: EngineParts.standardIDSlots)] },
                { await depot.check() },
            ])
        engine = Engine(parts: parts, network: standardNetwork)
        let addresses = RemoteListeners.Addresses()
        door = RESTDoor(
            engine: engine,
            server: RESTDoor.Server(
                version: Version.current, name: Self.hostName, driver: "crun | qemu | wasmtime", driverVersion: "",
                storage: "dir", firewall: "nftables", addresses: { addresses.reachable }),
            kernels: Self.kernels(machines), logger: logger)
        remote = RemoteListeners(door: door, tls: tls, addresses: addresses, logger: logger)
        dockerDoor = DockerDoor(
            engine: engine,
            server: DockerDoor.Server(
                version: Version.current, name: Self.hostName, standardNetwork: standardNetwork.name,
                stateDirectory: layout.state), logger: logger)
        self.depot = depot
        self.logger = logger
        self.store = store
        self.cgroups = cgroups
    }

    /// Ends what the engine uses, after the engine.
    func close() async {
        cgroups.removeParentIfEmpty()
        do { try await depot.shutdown() } catch { logger.error("closing the image store failed: \(error)") }
        do { try store.close() } catch { logger.error("closing the state database failed: \(error)") }
    }

    /// Another daemon on the same host has another name: `isle` for the usual run folder, else one made from it.
    private static func cgroupParent(_ options: Options) -> String {
        guard options.runDir != "/run/isle" else { return "isle" }
        // FNV-1a: short, and the same at each start.
        let hash = options.runDir.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return "isle-" + String(hash, radix: 36)
    }

    /// The network of the default profile: as it was stored, else made from the options and what is free.
    private static func network(_ options: Options, _ store: StateStore) async throws -> NetworkSpec {
        if let stored = try await store.networks(NetworkSpec.self).records.first(where: { $0.name == options.bridge }) {
            return stored
        }
        var generator = SystemRandomNumberGenerator()
        let used = try SubnetChooser.inUse()
        let ipv4 = try options.subnet ?? SubnetChooser.ipv4(avoiding: used, using: &generator).description
        let ipv6 = try SubnetChooser.ipv6(avoiding: used, using: &generator).description
        return NetworkSpec(name: options.bridge, bridge: options.bridge, ipv4: ipv4, ipv6: ipv6)
    }

    /// The daemon's environment with the proxies that the settings name, for what fetches from the network.
    private static func environment(_ store: StateStore) async throws -> [String: String] {
        var environment = ProcessInfo.processInfo.environment
        let settings = try await ServerSettings.stored(store)
        for (key, variable) in [
            ("core.proxy_http", "http_proxy"), ("core.proxy_https", "https_proxy"),
            ("core.proxy_ignore_hosts", "no_proxy"),
        ] {
            guard let value = settings[key] else { continue }
            environment[variable] = value
            environment[variable.uppercased()] = value
        }
        return environment
    }

    private static func kernels(_ machines: MachineDriver) -> RESTDoor.Kernels {
        let store = machines.kernels
        return RESTDoor.Kernels(
            list: {
                let kernels = try await store.list()
                return kernels.map { kernel in
                    var item = API.Kernel()
                    item.version = kernel.version
                    item.architecture = Self.machine
                    item.source = kernel.package
                    item.size = kernel.size
                    item.isDefault = kernel.version == kernels.first?.version
                    return item
                }
            },
            fetch: { _ in try await store.fetch().version },
            remove: { try await store.remove($0) })
    }

    private static var hostMemory: Int64 {
        Int64(sysconf(Int32(_SC_PHYS_PAGES))) * Int64(sysconf(Int32(_SC_PAGESIZE)))
    }

    private static var hostName: String { system { $0.nodename } ?? "isle" }
    private static var machine: String { system { $0.machine } ?? "" }

    /// A field of uname(2).
    private static func system<Field>(_ field: (utsname) -> Field) -> String? {
        var name = utsname()
        guard uname(&name) == 0 else { return nil }
        return withUnsafeBytes(of: field(name)) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
