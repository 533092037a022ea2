import ArgumentParser
import CLIKit
import Client
import WireTypes

/// `isle version`.
struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the versions of client and daemon.", discussion: "Example: isle version --format json")
    /// Of this program.
    static let number = "0.1.0"

    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let output = Output(options: global)
        let server: API.Server?
        do {
            server = try global.client.get(API.Server.self, Endpoint([]))
        } catch let error as ClientError where error.kind == .daemonUnavailable {
            server = nil
            if global.format == .table { Failure.complain(error.description) }
        }
        let environment = server?.environment
        if global.format != .table {
            var object: [String: JSONValue] = ["client": .object(["version": .string(Self.number)])]
            if let environment {
                object["server"] = .object([
                    "version": .string(environment.serverVersion), "kernel": .string(environment.kernelVersion),
                    "driver": .string(environment.driver), "pid": .int(Int64(environment.serverPID)),
                ])
            }
            return try output.value(.object(object))
        }
        var lines: [(String, Table.Cell)] = [("Client", .init(Self.number))]
        if let environment {
            lines.append(("Server", .init(environment.serverVersion)))
            if !environment.driver.isEmpty { lines.append(("Drivers", .init(environment.driver))) }
            if !environment.kernelVersion.isEmpty { lines.append(("Kernel", .init(environment.kernelVersion))) }
        }
        Details.show(lines, output)
        if server == nil { throw ExitCode(1) }
    }
}
