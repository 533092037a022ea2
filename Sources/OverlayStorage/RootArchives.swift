import Archive
public import DriverKit
import Glibc
import LinuxHost
import Model

extension OverlayStorage: RootArchiver {
    public func packChanges(
        _ root: RootFiles, over layers: LayerStack, placeholders: [String], to path: String
    ) async throws -> PackedArchive {
        let changes = try await changes(root, over: layers, placeholders: placeholders)
        let tree = try await merged(root, layers)
        let options = PackOptions(
            compression: .none, translatesWhiteouts: true,
            only: changes.map { ($0.kind == .deleted, Self.inside($0.path)) }
                .map { PackOptions.Selected(path: $1, isRemoved: $0) })
        return try await Self.write(tree, options, to: path)
    }

    public func packRoot(
        _ root: RootFiles?, over layers: LayerStack, form: RootArchiveForm, to path: String?
    ) async throws -> PackedArchive {
        let tree = try await merged(root, layers)
        let time = FileTime(seconds: form.leadingTime)
        var leading: [PackOptions.Leading] = []
        var folders: Set<String> = []
        for file in form.leading {
            if let slash = file.path.lastIndex(of: "/"), folders.insert(String(file.path[..<slash])).inserted {
                leading.append(.init(path: HostPath(String(file.path[..<slash])), content: nil, modified: time))
            }
            leading.append(.init(path: HostPath(file.path), content: file.content, modified: time))
        }
        let options = PackOptions(
            compression: .none, translatesWhiteouts: false, prefix: form.folder.map { HostPath($0) }, leading: leading)
        return try await Self.write(tree, options, to: path ?? "/dev/null")
    }

    public func changes(_ root: RootFiles, over layers: LayerStack, placeholders: [String]) async throws
        -> [PathChange]
    {
        let trees = try Self.trees(of: root).map { try RootDirectory(path: $0) }
        let lower = try await merged(nil, layers)
        let shown = try await merged(root, layers)
        let ignored = Set(placeholders.map(Self.inside))
        return try await runBlocking {
            try ChangeWalk(trees: trees, shown: shown, lower: lower, ignored: ignored).run()
        }
    }

    /// The trees that a root lies in above its layers, topmost first.
    private static func trees(of root: RootFiles) throws -> [String] {
        guard !root.isDisk else { throw EngineError(.unsupported, "the files of a disk cannot be seen from outside") }
        return (root.written.map { [$0] } ?? []) + root.frozen.map { $0 + "/fs" }
    }

    /// The tree that a root, or an image alone, shows; read-only and mounted where nobody else sees it.
    func merged(_ root: RootFiles?, _ layers: LayerStack) async throws -> RootDirectory {
        try layersRoot.makeDirectories("view", mode: 0o700)
        let folder = try RootDirectory(path: layers.directory)
        let own = try root.map(Self.trees) ?? []
        return try await LayerView.open(own + layers.paths, of: folder, at: "\(layersRoot.path)/view")
    }

    private static func write(_ tree: RootDirectory, _ options: PackOptions, to path: String) async throws
        -> PackedArchive
    {
        let flags = path == "/dev/null" ? O_WRONLY : O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
        let raw = open(path, flags | O_CLOEXEC, 0o600)
        guard raw >= 0 else { throw EngineError.system(errno, "create \(path)") }
        let file = OwnedDescriptor(raw)
        do {
            let report = try await TreePacker.pack(tree, to: file, named: path, options: options)
            return PackedArchive(plainDigest: report.plainDigest, digest: report.digest, size: report.size)
        } catch {
            if path != "/dev/null" { unlink(path) }
            throw error
        }
    }

    /// A path inside an instance as one relative to its root.
    private static func inside(_ path: String) -> HostPath {
        HostPath(path.split(separator: "/").joined(separator: "/"))
    }
}
