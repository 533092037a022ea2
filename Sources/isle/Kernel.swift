import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle kernel`.
struct Kernel: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Kernels for machines that are made from root filesystems.",
        discussion: """
            Examples:
              isle kernel list
              isle kernel fetch
            """,
        subcommands: [KernelList.self, KernelFetch.self, KernelRemove.self])
}

struct KernelList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List kernels.", aliases: ["ls"])
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let answer = try global.client.get(JSONValue.self, Endpoint(["kernels"]))
        let kernels = try answer.decoded(as: [API.Kernel].self)
        try Output(options: global).list(answer, names: kernels.map(\.version)) {
            var table = Table([
                .init("VERSION"), .init("ARCH"), .init("SIZE", right: true), .init("DEFAULT"),
                .init("SOURCE", minimum: 20),
            ])
            for kernel in kernels {
                table.add(
                    .init(kernel.version), .init(kernel.architecture), .init(Quantity.bytes(kernel.size)),
                    .init(kernel.isDefault ? "yes" : ""), .init(kernel.source))
            }
            return table
        }
    }
}

struct KernelFetch: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fetch", abstract: "Fetch the distribution's kernel package.")
    @Argument(help: "A package or version; else the newest for virtual machines.") var version: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        let body = JSONValue.object(version.map { ["version": .string($0)] } ?? [:])
        let done = try global.finish(client.start("POST", Endpoint(["kernels"]), body), with: client)
        if let version = done.metadata?["version"]?.stringValue { Output(options: global).done(version) }
    }
}

struct KernelRemove: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove kernels.", aliases: ["rm", "delete"])
    @Argument(help: "Versions.", completion: Completions.kernels) var versions: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        try Failure.forEach(versions) { version in
            try client.send("DELETE", Endpoint(["kernels", version]), nil as API.Empty?)
            Output(options: global).done(version)
        }
    }
}
