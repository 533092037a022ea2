import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle network`.
struct Network: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Networks, their addresses and published ports.",
        discussion: """
            Examples:
              isle network list --ports
              isle network create lab ipv4.address=10.80.0.1/24
              isle network leases isle0
            """,
        subcommands: [
            NetworkList.self, NetworkShow.self, NetworkCreate.self, NetworkDelete.self,
            NetworkLeases.self,
        ])
}

struct NetworkList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List networks, or what the outside can reach.", aliases: ["ls"])
    @Flag(name: .shortAndLong, help: "Show published ports instead.") var ports = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        if ports { return try showPorts(client) }
        let answer = try client.get(JSONValue.self, Endpoint(["networks"], query: [("recursion", "1")]))
        let networks = try answer.decoded(as: [API.Network].self).filter(\.managed)
        try Output(options: global).list(answer, names: networks.map(\.name)) {
            var table = Table([
                .init("NAME"), .init("TYPE"), .init("MANAGED"), .init("IPV4"), .init("IPV6"),
                .init("USED BY", right: true), .init("STATUS"),
            ])
            for network in networks {
                table.add(
                    .init(network.name), .init(network.type), .init(network.managed ? "yes" : "no"),
                    .init(network.config["ipv4.address"] ?? "-"), .init(network.config["ipv6.address"] ?? "-"),
                    .init(String(network.usedBy.count)), .init(network.status.isEmpty ? "-" : network.status))
            }
            return table
        }
    }

    private func showPorts(_ client: IsleClient) throws {
        let answer = try client.get(JSONValue.self, Endpoint(["instances"], query: [("recursion", "1")]))
        let instances = try answer.decoded(as: [API.Instance].self).sorted { $0.name < $1.name }
        var rows: [JSONValue] = []
        var table = Table([
            .init("HOST"), .init("PROTOCOL"), .init("INSTANCE", minimum: 12), .init("PORT", right: true),
            .init("STATUS"),
        ])
        for instance in instances {
            for port in instance.ports ?? [] {
                let address = port.hostAddress.contains(":") ? "[\(port.hostAddress)]" : port.hostAddress
                let isOpen = port.hostAddress != "127.0.0.1" && port.hostAddress != "::1"
                table.add(
                    .init("\(address):\(port.hostPort)", isOpen ? .warning : nil), .init(port.transport),
                    .init(instance.name), .init(String(port.guestPort)), .init(instance.status))
                rows.append([
                    "host_address": .string(port.hostAddress), "host_port": .int(Int64(port.hostPort)),
                    "protocol": .string(port.transport), "instance": .string(instance.name),
                    "guest_port": .int(Int64(port.guestPort)), "status": .string(instance.status),
                ])
            }
        }
        try Output(options: global).list(.array(rows), names: table.rows.map { $0[0].text }) { table }
    }
}

struct NetworkShow: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show a network.", aliases: ["info"])
    @Argument(help: "The network.", completion: Completions.networks) var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions
    func run() throws {
        try Output(options: global).value(global.client.get(JSONValue.self, Endpoint(["networks", name])))
    }
}

struct NetworkCreate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a network.",
        discussion: "Example: isle network create lab ipv4.address=10.80.0.1/24 ipv6.address=none")
    @Argument(help: "Its name.") var name: String
    @Argument(help: ArgumentHelp("Its settings.", valueName: "key=value")) var settings: [String] = []
    @Option(help: "What it is for.") var description = ""
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        var post = API.NetworksPost()
        post.name = name
        post.type = "bridge"
        post.description = description
        post.config = settings.isEmpty ? [:] : try Settings.parse(settings)
        try global.client.send("POST", Endpoint(["networks"]), post)
        Output(options: global).done(name)
    }
}

struct NetworkDelete: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete networks that nothing uses.", aliases: ["rm", "remove"])
    @Argument(help: "The networks.", completion: Completions.networks) var names: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(names) { name in
            try client.send("DELETE", Endpoint(["networks", name]), nil as API.Empty?)
            Output(options: global).done(name)
        }
    }
}

struct NetworkLeases: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "leases", abstract: "Show who has which address.")
    @Argument(help: "The network.", completion: Completions.networks) var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(JSONValue.self, Endpoint(["networks", name, "leases"]))
        let leases = try answer.decoded(as: [API.NetworkLease].self)
        try Output(options: global).list(answer, names: leases.map(\.address)) {
            var table = Table([.init("NAME", minimum: 12), .init("ADDRESS"), .init("HARDWARE"), .init("TYPE")])
            for lease in leases {
                table.add(.init(lease.hostname), .init(lease.address), .init(lease.hwaddr), .init(lease.type))
            }
            return table
        }
    }
}
