import DriverKit
import Model
import Synchronization

/// The files of a running machine, by commands that its agent runs: the shell, stat, find, dd and their like, of
/// coreutils or busybox. Each call is one command, which takes tens of milliseconds.
final class GuestFileTree: FileTree {
    private let command: GuestCommand
    private let closed = Mutex(false)

    init(_ command: GuestCommand) { self.command = command }

    var isClosed: Bool { closed.withLock { $0 } }
    func close() async { closed.withLock { $0 = true } }

    /// Exit codes with which scripts say what is wrong.
    enum Exit {
        static let missing: Int32 = 44
        static let taken: Int32 = 45
    }

    /// Absolute, as the guest has it.
    static func text(_ path: GuestPath) throws -> String {
        guard let text = String(validating: path.names.map(\.bytes).joined(separator: [0x2f]), as: UTF8.self) else {
            throw EngineError(
                .unsupported, "the path \(Names.quoted(path.text)) is not UTF-8, which a machine's agent demands")
        }
        return "/" + text
    }

    /// Runs a script to a good end.
    @discardableResult
    func run(_ script: String, _ path: GuestPath, _ more: [String] = [], input: [UInt8]? = nil) async throws -> [UInt8]
    {
        guard !isClosed else { throw EngineError(.conflict, "the files of the machine were closed") }
        let answer = try await command.run(script, [Self.text(path)] + more, input: input)
        switch answer.code {
        case 0: return answer.output
        case Exit.missing: throw EngineError(.notFound, "\(Names.quoted(path.text)) is not in the machine")
        case Exit.taken: throw EngineError(.alreadyExists, "\(Names.quoted(path.text)) is in the machine already")
        case 127:
            throw EngineError(
                .unsupported, "the files of the machine cannot be reached: \(Self.words(answer.error))",
                hint: "it needs coreutils or busybox")
        default:
            throw EngineError(
                .invalidArgument, "\(Names.quoted(path.text)) in the machine: \(Self.words(answer.error))")
        }
    }

    private static func words(_ text: String) -> String {
        let last = text.split(separator: "\n").last.map(String.init) ?? "the command failed"
        return last
    }

    // MARK: looking

    static let there = #"[ -e "$1" ] || [ -L "$1" ] || exit 44; "#
    private static let format = "'/%f %u %g %s %Y %n'"

    func facts(_ path: GuestPath, following: Bool) async throws -> FileFacts? {
        do {
            let found = try await run(
                Self.there + "stat \(following ? "-L " : "")-c \(Self.format) -- \"$1\"", path)
            return GuestFileList.parse(found).first?.facts
        } catch let error as EngineError where error.code == .notFound { return nil }
    }

    func list(_ path: GuestPath) async throws -> [(name: GuestPath, facts: FileFacts)] {
        let found = try await run(
            Self.there + "cd -- \"$1\" && find . -mindepth 1 -maxdepth 1 -exec stat -c \(Self.format) -- {} +", path)
        return GuestFileList.parse(found)
    }

    func readLink(_ path: GuestPath) async throws -> GuestPath {
        GuestPath(bytes: try await run(Self.there + #"readlink -n -- "$1""#, path))
    }

    // MARK: changing

    func open(_ path: GuestPath, _ opening: FileOpening) async throws -> any GuestFile {
        let before = try await facts(path, following: true)
        if let before, before.kind != .regular {
            throw EngineError(.invalidArgument, "\(Names.quoted(path.text)) is no regular file")
        }
        if before == nil || opening.truncates {
            guard before != nil || opening.creates else {
                throw EngineError(.notFound, "\(Names.quoted(path.text)) is not in the machine")
            }
            if before != nil && opening.exclusive {
                throw EngineError(.alreadyExists, "\(Names.quoted(path.text)) is in the machine already")
            }
            // noclobber: a name that somebody takes meanwhile is not written to.
            try await run((opening.exclusive ? "set -C; " : "") + #": > "$1""#, path)
            if before == nil {
                var attributes = opening.attributes
                attributes.permissions = attributes.permissions ?? 0o644
                try await change(path, attributes, following: true)
            }
        }
        return GuestTreeFile(self, path, size: opening.truncates ? 0 : before?.size ?? 0)
    }

    func makeDirectory(_ path: GuestPath, _ attributes: FileChange) async throws {
        try await run(#"{ [ -e "$1" ] || [ -L "$1" ]; } && exit 45; mkdir -- "$1""#, path)
        var attributes = attributes
        attributes.permissions = attributes.permissions ?? 0o755
        try await change(path, attributes, following: true)
    }

    func makeLink(_ path: GuestPath, target: GuestPath, _ attributes: FileChange) async throws {
        try await run(
            #"{ [ -e "$1" ] || [ -L "$1" ]; } && exit 45; ln -s -- "$2" "$1""#, path, [target.text])
        var attributes = attributes
        // A link has none of its own.
        (attributes.permissions, attributes.modified) = (nil, nil)
        try await change(path, attributes, following: false)
    }

    func makeHardLink(_ path: GuestPath, to existing: GuestPath) async throws {
        try await run(
            #"{ [ -e "$1" ] || [ -L "$1" ]; } && exit 45; ln -- "$2" "$1""#, path, [try Self.text(existing)])
    }

    func remove(_ path: GuestPath) async throws {
        try await run(
            Self.there + #"if [ -d "$1" ] && [ ! -L "$1" ]; then rmdir -- "$1"; else rm -f -- "$1"; fi"#, path)
    }

    func rename(_ path: GuestPath, to newPath: GuestPath, replacing: Bool) async throws {
        let check = replacing ? "" : #"{ [ -e "$2" ] || [ -L "$2" ]; } && exit 45; "#
        try await run(Self.there + check + #"mv -fT -- "$1" "$2""#, path, [try Self.text(newPath)])
    }

    func change(_ path: GuestPath, _ change: FileChange, following: Bool) async throws {
        var steps: [String] = []
        // First: it takes away bits that the mode may set.
        if change.user != nil || change.group != nil {
            let owner = (change.user.map { String($0) } ?? "") + (change.group.map { ":\($0)" } ?? "")
            steps.append("chown \(following ? "" : "-h ")\(owner) -- \"$1\"")
        }
        if let mode = change.permissions { steps.append("chmod \(String(mode, radix: 8)) -- \"$1\"") }
        if let size = change.size { steps.append("truncate -s \(size) -- \"$1\"") }
        if let time = change.modified { steps.append("touch \(following ? "" : "-h ")-d @\(time) -- \"$1\"") }
        guard !steps.isEmpty else { return }
        try await run(Self.there + steps.joined(separator: " && "), path)
    }
}

/// One file of a machine; nothing is open in the guest between two calls.
private final class GuestTreeFile: GuestFile {
    private let tree: GuestFileTree
    private let path: GuestPath
    /// Bytes that the file has as far as this one has seen and written.
    private let size: Mutex<Int64>

    init(_ tree: GuestFileTree, _ path: GuestPath, size: Int64) {
        self.tree = tree
        self.path = path
        self.size = Mutex(size)
    }

    func facts() async throws -> FileFacts {
        guard let facts = try await tree.facts(path, following: true) else {
            throw EngineError(.notFound, "\(Names.quoted(path.text)) is not in the machine any more")
        }
        return facts
    }

    func read(at offset: Int64, count: Int) async throws -> [UInt8] {
        // What is asked for at the end of a file is the most frequent second question.
        if offset >= size.withLock({ $0 }), try await facts().size <= offset { return [] }
        return try await tree.run(
            GuestFileTree.there + "tail -c +\(offset + 1) -- \"$1\" | head -c \(count)", path)
    }

    func write(_ bytes: [UInt8], at offset: Int64) async throws {
        // The agent of a guest of its own takes input in one line of bounded length.
        for start in stride(from: 0, to: bytes.count, by: 1 << 20) {
            let part = Array(bytes[start..<min(start + (1 << 20), bytes.count)])
            let place = offset + Int64(start)
            let isNext = size.withLock { $0 == place }
            try await tree.run(
                GuestFileTree.there
                    + (isNext
                        ? #"cat >> "$1""#
                        : #"dd of="$1" bs=65536 conv=notrunc oflag=seek_bytes seek=\#(place) 2>/dev/null"#),
                path, input: part)
            size.withLock { $0 = max($0, place + Int64(part.count)) }
        }
    }

    func change(_ change: FileChange) async throws {
        try await tree.change(path, change, following: true)
        if let new = change.size { size.withLock { $0 = new } }
    }

    func synchronize() async throws { try await tree.run("sync", path) }
    func close() {}
}

/// What `stat -c '/%f %u %g %s %Y %n'` says of files named by `./NAME`: a name may hold line ends, but no slash, so that each
/// record begins at a slash behind a line end.
enum GuestFileList {
    static func parse(_ bytes: [UInt8]) -> [(name: GuestPath, facts: FileFacts)] {
        var records: [[UInt8]] = []
        var start = 0
        for index in bytes.indices.dropFirst()
        where bytes[index] == UInt8(ascii: "/") && bytes[index - 1] == UInt8(ascii: "\n") {
            records.append(Array(bytes[start..<(index - 1)]))
            start = index
        }
        let rest = bytes[start...]
        if !rest.isEmpty { records.append(Array(rest.last == 10 ? rest.dropLast() : rest)) }
        return records.compactMap { record in
            let fields = record.dropFirst().split(separator: UInt8(ascii: " "), maxSplits: 5)
            guard fields.count == 6, let mode = UInt32(String(decoding: fields[0], as: UTF8.self), radix: 16) else {
                return nil
            }
            let numbers = fields[1...4].map { Int64(String(decoding: $0, as: UTF8.self)) ?? 0 }
            let name = fields[5].starts(with: [0x2e, 0x2f]) ? fields[5].dropFirst(2) : fields[5]
            return (
                GuestPath(bytes: name),
                FileFacts(
                    kind: kind(mode), permissions: mode & 0o7777, user: UInt32(clamping: numbers[0]),
                    group: UInt32(clamping: numbers[1]), size: numbers[2], modified: numbers[3])
            )
        }
    }

    /// stat(2), `S_IFMT`.
    private static func kind(_ mode: UInt32) -> FileFacts.Kind {
        switch mode & 0o170000 {
        case 0o100000: .regular
        case 0o040000: .directory
        case 0o120000: .symbolicLink
        case 0o020000: .characterDevice
        case 0o060000: .blockDevice
        case 0o010000: .fifo
        case 0o140000: .socket
        default: .unknown
        }
    }
}

/// Files of a running machine.
struct GuestFilesFacet: FilesFacet {
    let command: GuestCommand

    func tree() async throws -> any FileTree { GuestFileTree(command) }
}
