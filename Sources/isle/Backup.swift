import ArgumentParser
import CLIKit
import Client
import Glibc
import Model
import WireTypes

/// `isle export`.
struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write an instance with its snapshots to a file.",
        discussion: """
            The file is a tarball in the form of lxc export. A running container stands still only for a moment.

            Examples:
              isle export box
              isle export box /backup/box.tar.zst --compression zstd
              isle export box - --compression none > box.tar
            """)
    @Argument(help: "The instance.", completion: Completions.instances) var instance: String
    @Argument(help: "The file; else INSTANCE.tar.gz here, - for standard output.", completion: .file()) var file:
        String?
    @Flag(help: "Leave the snapshots out.") var instanceOnly = false
    @Option(help: "none, gzip, bzip2, xz or zstd, with a level as 'zstd -9'.") var compression: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let target = file ?? "\(instance).tar\(Self.ending(compression ?? "gzip"))"
        guard target != "-" || !Style.output.isTerminal else {
            throw UsageError("a backup is not for a terminal", hint: "name a file, or write '> FILE'")
        }
        let client = global.client
        var post = API.BackupsPost()
        post.instanceOnly = instanceOnly
        post.compressionAlgorithm = compression ?? "gzip"
        // What is left here by an interruption goes by itself.
        post.expiresAt = Timestamp.string(Now.seconds + 86_400)
        let backups = ["instances", instance, "backups"]
        let started = try client.start("POST", Endpoint(backups), post)
        try global.finish(started, with: client)
        guard let name = started.resources["backups"]?.first?.split(separator: "/").last else {
            throw ClientError(.malformedAnswer, "the daemon did not name the backup")
        }
        defer {
            do { try client.send("DELETE", Endpoint(backups + [String(name)]), nil as API.Empty?) } catch {
                Style.error.write("isle: the backup \(name) stays in the daemon until tomorrow: \(error)\n")
            }
        }
        let endpoint = Endpoint(backups + [String(name), "export"])
        guard target != "-" else { return try client.stream(endpoint) { Style.output.write($0) } }
        try LocalFile.replace(target) { file in try client.stream(endpoint) { try file($0) } }
        Output(options: global).done(target)
    }

    private static func ending(_ compression: String) -> String {
        switch compression.prefix(while: { $0 != " " }) {
        case "gzip": ".gz"
        case "bzip2": ".bz2"
        case "xz": ".xz"
        case "zstd": ".zst"
        default: ""
        }
    }
}

/// `isle import`.
struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make an instance from a file that isle export or lxc export wrote.",
        discussion: """
            Examples:
              isle import box.tar.gz
              isle import box.tar.gz second --storage fast
            """)
    @Argument(help: "The file.", completion: .file()) var file: String
    @Argument(help: "The instance's name; else as in the file.") var name: String?
    @Option(help: "The storage pool.", completion: Completions.pools) var storage: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let client = global.client
        var headers: [(name: String, value: String)] = []
        if let name { headers.append((API.BackupHeader.name, name)) }
        if let storage { headers.append((API.BackupHeader.pool, storage)) }
        let input = OwnedDescriptor(open(file, O_RDONLY | O_CLOEXEC))
        guard input.raw >= 0 else {
            throw ClientError(.local, "\(Quantity.quoted(file)) cannot be opened: \(String(cString: strerror(errno)))")
        }
        guard let size = LocalFile.regularSize(file) else {
            throw ClientError(
                .local, "\(Quantity.quoted(file)) is not a regular file", hint: "write it to a file first")
        }
        let display = ProgressDisplay(quiet: global.quiet || size < 16 << 20)
        var left = size
        let body = HTTPRequest.Body.stream(length: size) {
            if left == 0 { return nil }
            display.show(ProgressLine(stage: "upload", done: size - left, total: size))
            guard let piece = LocalFile.piece(of: input, most: Int(min(left, 1 << 18))), !piece.isEmpty else {
                throw ClientError(.local, "\(Quantity.quoted(file)) became shorter while it was read")
            }
            left -= Int64(piece.count)
            return piece
        }
        let operation = try client.upload(Endpoint(["instances"]), headers: headers, body: body)
        display.clear()
        let done = try global.finish(operation, with: client)
        Output(options: global).done(done.metadata?["name"]?.stringValue ?? name ?? "")
    }
}
