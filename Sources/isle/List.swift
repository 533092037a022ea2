import ArgumentParser
import CHost
import CLIKit
import Client
import Glibc
import WireTypes

/// `isle list`.
struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List instances.",
        discussion: """
            Examples:
              isle list
              isle list --running -q
              isle list --format json
              isle list 'web*'
            """, aliases: ["ls", "ps"])
    @Argument(help: "Names to show; * and ? match.") var patterns: [String] = []
    @Flag(help: "Only those that run.") var running = false
    // Docker's users write it; all are shown anyway.
    @Flag(name: .shortAndLong, help: .hidden) var all = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let endpoint = Endpoint(["instances"], query: [("recursion", "1")])
        let client = global.client
        let output = Output(options: global)
        if global.format == .json || global.format == .yaml {
            let all = try client.get(JSONValue.self, endpoint).arrayValue ?? []
            return try output.value(
                .array(
                    all.filter {
                        shows(name: $0["name"]?.stringValue ?? "", status: $0["status"]?.stringValue ?? "")
                    }))
        }
        let summary = Endpoint(["instances"], query: [("recursion", "1"), ("summary", "1")])
        let instances = try client.get([API.InstanceSummary].self, summary).map(\.instance)
            .filter { shows(name: $0.name, status: $0.status) }.sorted { $0.name < $1.name }
        try output.list(.null, names: instances.map(\.name)) { InstanceTable.list(instances, now: Now.seconds) }
    }

    private func shows(name: String, status: String) -> Bool {
        (!running || status == "Running") && (patterns.isEmpty || patterns.contains { fnmatch($0, name, 0) == 0 })
    }
}

/// The wall clock.
enum Now {
    /// Seconds since 1970.
    static var seconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
