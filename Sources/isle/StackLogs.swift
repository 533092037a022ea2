import ArgumentParser
import CLIKit
import Client
import Glibc
import StackKit
import Synchronization
import WireTypes

/// `isle stack logs`.
struct StackLogs: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Show what the instances of the project have written.")
    @OptionGroup var stack: StackOptions
    @Argument(help: "Only these services.") var services: [String] = []
    @Flag(name: .shortAndLong, help: "Go on with what is written from now on.") var follow = false
    @Option(
        name: [.customShort("n"), .customLong("tail")], help: ArgumentHelp("Only the last lines.", valueName: "number"))
    var tail: String?
    @Flag(name: .shortAndLong, help: "Show when each line was written.") var timestamps = false
    @Flag(help: "Show lines without the instance's name.") var noLogPrefix = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let runner = StackRunner(stack: try stack.stack(), global: global)
        let members = try runner.instances().filter { services.isEmpty || services.contains($0.service) }
        let names = members.map(\.instance.name)
        let width = names.map(PlainText.width).max() ?? 0
        let gate = Mutex(())
        let (socket, project) = (runner.client.socketPath, runner.client.project)
        let query = [
            ("follow", follow ? "1" : nil), ("tail", tail == "all" ? nil : tail),
            ("timestamps", timestamps ? "1" : nil),
        ]
        var threads: [pthread_t] = []
        for (index, name) in names.enumerated() {
            let padding = String(repeating: " ", count: max(0, width - PlainText.width(name)))
            let prefix = noLogPrefix ? "" : Self.paint("\(PlainText.escaped(name))\(padding) | ", index)
            let work = Box {
                // A client belongs to one thread.
                let client = IsleClient(socketPath: socket, project: project)
                var line: [UInt8] = []
                func flush() {
                    gate.withLock { _ in Style.output.write(Array(prefix.utf8) + line + [10]) }
                    line.removeAll(keepingCapacity: true)
                }
                do {
                    try client.stream(Endpoint(["instances", name, "logs", "output"], query: query)) { bytes in
                        for byte in bytes { if byte == 10 { flush() } else { line.append(byte) } }
                    }
                    if !line.isEmpty { flush() }
                } catch {
                    gate.withLock { _ in Style.error.write("\(PlainText.escaped(name)): \(error)\n") }
                }
            }
            var thread = pthread_t()
            let argument = Unmanaged.passRetained(work).toOpaque()
            let result = pthread_create(
                &thread, nil,
                { raw in
                    if let raw { Unmanaged<Box>.fromOpaque(raw).takeRetainedValue().run() }
                    return nil
                }, argument)
            guard result == 0 else { throw ClientError(.local, "no thread for the log of \(name)") }
            threads.append(thread)
        }
        for thread in threads { pthread_join(thread, nil) }
    }

    private static func paint(_ text: String, _ index: Int) -> String {
        guard Style.output.isColored else { return text }
        return "\u{1B}[\([36, 33, 32, 35, 34, 96, 93, 92, 95, 94][index % 10])m\(text)\u{1B}[0m"
    }

    private final class Box: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
}
