import DriverKit
import FoundationEssentials
import Glibc
import LinuxHost
import Logging
import Model
import Netlink
import Nftables
import Testing

@testable import BridgeNetwork

/// Whether this process may make network namespaces, and dnsmasq is there.
let canRunNetworks = (try? NetworkNamespace.make()) != nil && access("/usr/sbin/dnsmasq", X_OK) == 0
let whyNot: String = "needs root (network namespaces) and dnsmasq"

/// A network namespace that plays the host, one that plays the outside world behind a link (192.0.2.1 the host's end,
/// 192.0.2.2 the other, which has no route to the guests), and a driver in the first.
final class Fixture: Sendable {
    let host: OwnedDescriptor
    let outside: OwnedDescriptor
    let runDirectory: String
    let driver: BridgeNetwork
    let network: NetworkSpec

    private init(ipv6: Bool, mtu: Int?) async throws {
        let tag = String(UInt32.random(in: .min ... .max), radix: 16)
        runDirectory = "/tmp/isle-net-\(tag)"
        mkdir(runDirectory, 0o711)
        host = try NetworkNamespace.make()
        outside = try NetworkNamespace.make()
        try Self.link(host, outside)
        network = NetworkSpec(
            name: "net\(tag)", bridge: "br\(tag)", ipv4: "10.77.0.1/24", ipv6: ipv6 ? "fd77::1/64" : nil, mtu: mtu)
        driver = try Self.makeDriver(runDirectory, host)
    }

    static func makeDriver(_ runDirectory: String, _ host: OwnedDescriptor) throws -> BridgeNetwork {
        var log = Logger(label: "test")
        log.logLevel = .critical
        return try BridgeNetwork(
            .init(runDirectory: runDirectory, resolvers: .none, namespace: host), log: log)
    }

    private static func link(_ host: OwnedDescriptor, _ outside: OwnedDescriptor) throws {
        for (namespace, text) in [(host, "192.0.2.1/24"), (outside, "192.0.2.2/24")] {
            let session = NetlinkSession(try NetworkNamespace.run(in: namespace) { try NetlinkSocket() })
            if text.contains("2.1") {
                try session.perform([
                    .makeVeth(LinkSettings(name: "wan0"), peer: LinkSettings(name: "wan0"), namespace: outside)
                ])
            }
            guard let index = try session.link(named: "wan0")?.index, let prefix = IPPrefix(text) else { continue }
            try session.perform([
                .change(.name("lo"), LinkSettings(up: true)), .change(.index(index), LinkSettings(up: true)),
                .addAddress(prefix, to: index),
            ])
        }
    }

    /// Runs `body` and takes everything down after it, whatever is connected; expects that nothing is left.
    static func with(
        ipv6: Bool = true, mtu: Int? = nil, _ body: (Fixture) async throws -> Void
    ) async throws {
        let fixture = try await Fixture(ipv6: ipv6, mtu: mtu)
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(fixture))
        } catch {
            result = .failure(error)
        }
        try await fixture.driver.adopt([], endpoints: [])
        #expect(try await fixture.leftovers() == [])
        try FileManager.default.removeItem(atPath: fixture.runDirectory)
        try result.get()
    }

    func session() throws -> NetlinkSession {
        NetlinkSession(try NetworkNamespace.run(in: host) { try NetlinkSocket() })
    }

    func nft() throws -> Nftables { try NetworkNamespace.run(in: host) { try Nftables() } }

    /// A setting below /proc/sys/net of the host.
    func setting(_ path: String) throws -> String? {
        try NetworkNamespace.run(in: host) { KernelSetting.read(path) }
    }

    func endpoint(
        _ name: String, _ number: UInt8, aliases: [String] = [], byGuest: Bool = false, ports: [PortMapping] = []
    ) -> NetworkEndpoint {
        NetworkEndpoint(
            instance: .random(), hostname: name, aliases: aliases, network: network.name, device: "eth0",
            mac: "00:16:3e:00:00:" + (number < 16 ? "0" : "") + String(number, radix: 16), ipv4: "10.77.0.\(number)",
            ipv6: network.ipv6 == nil ? nil : "fd77::\(String(number, radix: 16))", configuredByGuest: byGuest,
            ports: ports)
    }

    /// Connects a new namespace.
    func guest(_ endpoint: NetworkEndpoint) async throws -> OwnedDescriptor {
        let namespace = try NetworkNamespace.make()
        try await driver.connect(endpoint, namespace: namespace)
        return namespace
    }

    /// Runs a program in a namespace and gives what it said.
    func run(in namespace: OwnedDescriptor, _ arguments: [String]) async throws -> ProcessResult {
        try await ProcessRunner.run(
            "nsenter", ["--net=/proc/\(getpid())/fd/\(namespace.raw)", "--"] + arguments)
    }

    func ping(from namespace: OwnedDescriptor, _ address: String) async throws -> Bool {
        try await run(in: namespace, ["busybox", "ping", "-c", "1", "-W", "2", address]).status.isSuccess
    }

    /// Asks the network's name server; an IPv4 address or nil. Tries for up to a second, since names come by inotify.
    func resolve(_ name: String, from namespace: OwnedDescriptor, wanting wanted: String?) async throws -> String? {
        var answer: String?
        for _ in 0..<3000 {
            answer = try DNS.query(name, server: "10.77.0.1", in: namespace)
            if answer == wanted { return answer }
            try await Task.sleep(for: .milliseconds(10))
        }
        return answer
    }
}

/// What is left of a network on the host, in words; empty when `down` did its work.
extension Fixture {
    func leftovers() async throws -> [String] {
        await driver.sweeper.drain()
        var found = try session().links().filter { !["lo", "wan0"].contains($0.name) && $0.kind != nil }.filter {
            ["bridge", "veth", "tun", "macvlan", "macvtap"].contains($0.kind ?? "")
        }.map { "link \($0.name)" }
        let ruleset = try nft().list("list ruleset")
        found += ruleset.tables.filter { $0.name.hasPrefix("isle_") }.map { "table \($0.name)" }
        found += ruleset.rules.filter { $0.comment?.hasPrefix("isle:") == true }.map { "rule in \($0.chain)" }
        found += NetworkFolder.names(in: runDirectory + "/networks").map { "folder \($0)" }
        found += NetworkFolder.names(in: runDirectory + "/nics").map { "record \($0)" }
        for pid in NetworkFolder.names(in: "/proc").compactMap({ Int32($0) }) {
            let line = (try? readSmallFile("/proc/\(pid)/cmdline")).map { String(decoding: $0, as: UTF8.self) } ?? ""
            if line.contains(runDirectory) { found.append("process \(pid)") }
        }
        return found
    }
}
