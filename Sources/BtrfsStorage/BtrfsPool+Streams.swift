public import DriverKit
import Glibc
import LinuxHost
import Model

// Roots as streams of btrfs-send(8).
extension BtrfsPool: StreamingPool {
    private static let patience = Duration.seconds(6 * 3600)

    public func send(_ roots: [RootStream]) async throws {
        try await withStaging { staging in
            var lineage = Lineage()
            for stream in roots {
                try check(stream.root)
                try await lineage.add(path(stream.root))
            }
            for (index, stream) in roots.enumerated() {
                let frozen = try await freeze(stream.root, "\(staging)/\(index)")
                // Files of unrelated subvolumes would be taken for the same where their numbers are.
                let isRelated = index > 0 && lineage.areRelated(path(roots[index - 1].root), path(stream.root))
                try await ProcessRunner.check(
                    "btrfs",
                    ["-q", "send"] + (isRelated ? ["-p", "\(staging)/\(index - 1)"] : [])
                        + ["-f", stream.path, "--", frozen], timeout: Self.patience)
            }
        }
    }

    /// Only what cannot change is sent. overlayfs's folder `work` is left out: each clone has a new one, whose number a file
    /// of the source may have got meanwhile.
    private func freeze(_ root: RootName, _ copy: String) async throws -> String {
        try await ProcessRunner.check("btrfs", ["-q", "subvolume", "snapshot", "--", path(root), copy])
        try await runBlocking { try RootDirectory(path: copy).removeTree("work") }
        try await ProcessRunner.check("btrfs", ["property", "set", "-ts", copy, "ro", "true"])
        return copy
    }

    /// Which subvolumes were made as snapshots of which.
    private struct Lineage {
        private var ids: [String: String] = [:]
        private var parents: [String: String] = [:]

        mutating func add(_ path: String) async throws {
            let shown = try await ProcessRunner.check("btrfs", ["subvolume", "show", "--", path]).outputText
            func field(_ name: String) -> String? {
                for line in shown.split(separator: "\n") {
                    let words = line.split { $0 == "\t" || $0 == " " }
                    if words.dropLast().joined(separator: " ") == name + ":", words.last != "-" {
                        return words.last.map(String.init)
                    }
                }
                return nil
            }
            guard let id = field("UUID") else { return }
            ids[path] = id
            parents[id] = field("Parent UUID")
        }

        func areRelated(_ one: String, _ two: String) -> Bool {
            !ancestors(one).isDisjoint(with: ancestors(two))
        }

        private func ancestors(_ path: String) -> Set<String> {
            var found: Set<String> = []
            var next = ids[path]
            while let id = next, found.insert(id).inserted { next = parents[id] }
            return found
        }
    }

    public func receive(_ roots: [RootStream]) async throws {
        var done: [RootName] = []
        do {
            try await withStaging { staging in
                var known: Set<String> = []
                for stream in roots {
                    try refuseTaken(stream.root)
                    // Confined to the folder: the stream may be anybody's.
                    let result = try await ProcessRunner.run(
                        "btrfs", ["-q", "receive", "--chroot", "-e", "-f", stream.path, "--", staging],
                        timeout: Self.patience)
                    guard result.status.isSuccess else {
                        throw EngineError(
                            .invalidArgument, "a part of the backup is not what btrfs send writes: \(result.lastWords)")
                    }
                    let now = Set(try RootDirectory(path: staging).list().map(\.name.text))
                    guard let name = now.subtracting(known).first, now.count == known.count + 1 else {
                        throw EngineError(.invalidArgument, "a part of the backup holds not one root")
                    }
                    known = now
                    let copy = "\(staging)/.root"
                    try await maker.clone("\(staging)/\(name)", to: copy)
                    try await Self.checkReceived(copy)
                    try publish(copy, stream.root)
                    done.append(stream.root)
                }
            }
        } catch {
            for root in done { try await discard(root) }
            throw error
        }
    }

    /// A folder for subvolumes on their way, which goes with all of them. After a crash `recover` removes it.
    private func withStaging(_ body: (String) async throws -> Void) async throws {
        let staging = "\(root)/instances/.stream-\(InstanceID.random().raw)"
        guard mkdir(staging, 0o700) == 0 else { throw EngineError.system(errno, "make the folder \(staging)") }
        let result: Result<Void, any Error>
        do { result = .success(try await body(staging)) } catch { result = .failure(error) }
        try await removeStaging(staging)
        try result.get()
    }

    func removeStaging(_ staging: String) async throws {
        for entry in try RootDirectory(path: staging).list() { try await maker.remove("\(staging)/\(entry.name.text)") }
        guard rmdir(staging) == 0 else { throw EngineError.system(errno, "remove the folder \(staging)") }
    }

    /// What the pool and the drivers look for by name must be of the kind that they expect, and no link that leads away.
    private static func checkReceived(_ folder: String) async throws {
        try await runBlocking {
            let root = try RootDirectory(path: folder)
            func expect(_ name: String, _ kinds: [FileStatus.Kind]) throws {
                guard let status = try root.status(name) else { return }
                guard kinds.contains(status.kind) else {
                    throw EngineError(.invalidArgument, "the backup is refused: \(name) is not what it should be")
                }
            }
            for name in ["upper", "frozen", RootFiles.tpm] { try expect(name, [.directory]) }
            for name in ["disk.qcow2", "base.raw", "base.qcow2"] + RootFiles.companionNames where name != RootFiles.tpm
            {
                try expect(name, [.regular])
            }
            if try root.exists("frozen") {
                for part in try root.list("frozen") {
                    try expect("frozen/\(part.name.text)", [.directory])
                    try expect("frozen/\(part.name.text)/fs", [.directory])
                }
            }
            guard try root.exists("upper") || root.exists("disk.qcow2") else {
                throw EngineError(.invalidArgument, "the backup is refused: it holds neither files nor a disk")
            }
            try root.removeTree("work")
            if try root.exists("upper") { try root.makeDirectory("work", mode: 0o700) }
            try root.setOwner(".", user: 0, group: 0)
            try root.setPermissions(".", 0o711)
        }
    }
}
