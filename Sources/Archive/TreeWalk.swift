import Glibc
import LinuxHost
import Model

/// One walk over a tree, folder by folder, each in the order of its names.
final class TreeWalk {
    private struct Level {
        var path: HostPath
        var entries: ArraySlice<DirectoryEntry>
    }

    private struct FileIdentity: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    private let root: RootDirectory
    private let tar: TarWriter
    private let options: PackOptions
    private let cancelled: CancelFlag
    private var report = PackReport()
    /// Files with several names, and the first of them.
    private var linked: [FileIdentity: HostPath] = [:]
    private var buffer = [UInt8](repeating: 0, count: 1 << 18)

    init(root: RootDirectory, tar: TarWriter, options: PackOptions, cancelled: CancelFlag) {
        self.root = root
        self.tar = tar
        self.options = options
        self.cancelled = cancelled
    }

    /// The walk, and the end of the archive.
    func run() throws -> PackReport {
        let report = try walk()
        try tar.finish()
        return report
    }

    /// Writes the members of the tree; others may follow.
    func walk() throws -> PackReport {
        try addLeading()
        if let selected = options.only {
            for item in selected { try add(item) }
            return report
        }
        var levels = [try level("")]
        // Only the folder at work is open: a deep tree costs no descriptors.
        var open: (path: HostPath, folder: RootDirectory)?
        while var level = levels.popLast() {
            guard let entry = level.entries.popFirst() else { continue }
            levels.append(level)
            let folder: RootDirectory
            if let open, open.path == level.path {
                folder = open.folder
            } else {
                folder = try root.subdirectory(level.path)
                open = (level.path, folder)
            }
            let path = level.path.appending(entry.name)
            if try add(entry.name, in: folder, path) { levels.append(try self.level(path)) }
        }
        return report
    }

    private func level(_ path: HostPath) throws -> Level {
        try cancelled.check()
        let entries = try root.list(path).sorted { $0.name.bytes.lexicographicallyPrecedes($1.name.bytes) }
        return Level(path: path, entries: entries[...])
    }

    private func add(_ item: PackOptions.Selected) throws {
        try cancelled.check()
        let names = item.path.components
        guard let name = names.last else { return }
        if item.isRemoved { return try addMark(Array(".wh.".utf8) + name.bytes, beside: item.path) }
        var parent = HostPath("")
        for part in names.dropLast() { parent = parent.appending(part) }
        let folder = parent.isEmpty ? root : try root.subdirectory(parent)
        _ = try add(name, in: folder, item.path)
    }

    private func addLeading() throws {
        for member in options.leading {
            let kind: TarEntry.Kind = member.content == nil ? .directory : .file
            let entry = TarEntry(
                kind, path: member.path, permissions: kind == .directory ? 0o755 : 0o644, modified: member.modified)
            try tar.add(entry, content: member.content ?? [])
            report.members.append(member.path)
        }
        guard options.prefix != nil, let status = try root.status() else { return }
        var entry = TarEntry(.directory, path: "", permissions: status.permissions)
        if options.keepOwners { (entry.user, entry.group) = (status.user, status.group) }
        entry.modified = options.latestTime.map { min($0, status.modified) } ?? status.modified
        _ = try addAttributes(&entry, ".", in: root)
        try begin(entry)
    }

    /// Writes one member; true if it is a folder to descend into.
    private func add(_ name: HostPath, in folder: RootDirectory, _ path: HostPath) throws -> Bool {
        guard let status = try folder.status(name) else { return false }
        if options.translatesWhiteouts {
            guard !name.bytes.starts(with: Array(".wh.".utf8)) else {
                throw EngineError(
                    .invalidArgument, "\(root.path)/\(path.text) cannot be packed: a layer gives such names a meaning",
                    hint: "remove or rename it in the instance")
            }
            if status.kind == .characterDevice && status.major == 0 && status.minor == 0 {
                try addMark(Array(".wh.".utf8) + name.bytes, beside: path)
                return false
            }
        }
        if status.kind == .socket || status.kind == .unknown {
            report.skipped.append(path)
            return false
        }
        var entry = TarEntry(Self.kind(status.kind), path: path, permissions: status.permissions, size: status.size)
        if options.keepOwners { (entry.user, entry.group) = (status.user, status.group) }
        entry.modified = options.latestTime.map { min($0, status.modified) } ?? status.modified
        (entry.major, entry.minor) = (status.major, status.minor)
        if status.kind != .directory && status.links > 1 {
            let identity = FileIdentity(device: status.device, inode: status.inode)
            if let first = linked[identity] {
                entry.kind = .hardLink
                entry.linkTarget = first
                try begin(entry)
                return false
            }
            linked[identity] = path
        }
        let isOpaque = try addAttributes(&entry, name, in: folder)
        switch status.kind {
        case .symbolicLink:
            entry.linkTarget = try folder.readLink(name)
            try begin(entry)
        case .regular: try addFile(entry, name, in: folder)
        default: try begin(entry)
        }
        if isOpaque { try addMark(Array(".wh..wh..opq".utf8), beside: path.appending("x")) }
        return status.kind == .directory
    }

    private func begin(_ entry: TarEntry) throws {
        var entry = entry
        if let prefix = options.prefix {
            entry.path = entry.path.isEmpty ? prefix : prefix.appending(entry.path)
            if entry.kind == .hardLink { entry.linkTarget = prefix.appending(entry.linkTarget) }
        }
        try tar.begin(entry)
        report.members.append(entry.path)
    }

    private static func kind(_ kind: FileStatus.Kind) -> TarEntry.Kind {
        switch kind {
        case .directory: .directory
        case .symbolicLink: .symbolicLink
        case .characterDevice: .characterDevice
        case .blockDevice: .blockDevice
        case .fifo: .fifo
        case .regular, .socket, .unknown: .file
        }
    }

    /// An empty file with a meaning, in the folder of `path`.
    private func addMark(_ name: [UInt8], beside path: HostPath) throws {
        let folder = path.bytes.lastIndex(of: UInt8(ascii: "/")).map { path.bytes[...$0] } ?? []
        try begin(TarEntry(.file, path: HostPath(bytes: folder + name)))
    }

    private func addFile(_ entry: TarEntry, _ name: HostPath, in folder: RootDirectory) throws {
        try begin(entry)
        let file = try folder.open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
        var left = entry.size
        while left > 0 {
            try cancelled.check()
            let count = read(file.raw, &buffer, Int(min(left, Int64(buffer.count))))
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw EngineError.system(errno, "read \(root.path)/\(entry.path.text)") }
            guard count > 0 else {
                throw EngineError(
                    .conflict, "\(root.path)/\(entry.path.text) became shorter while it was packed",
                    hint: "stop the instance first")
            }
            try buffer.withUnsafeBytes { try tar.write(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            left -= Int64(count)
        }
    }

    /// Reads the attributes that are kept; true if the folder hides what lower layers have.
    private func addAttributes(_ entry: inout TarEntry, _ name: HostPath, in folder: RootDirectory) throws -> Bool {
        var isOpaque = false
        for attribute in try folder.attributeNames(name) {
            if options.translatesWhiteouts && attribute.hasPrefix("trusted.overlay.") {
                switch attribute.dropFirst("trusted.overlay.".utf8.count) {
                case "opaque": isOpaque = try folder.attribute(name, attribute) == Array("y".utf8)
                case "redirect", "metacopy":
                    throw EngineError(
                        .unsupported,
                        "\(root.path)/\(entry.path.text) cannot be packed: its content is in a lower layer",
                        hint: "mount the overlay with redirect_dir=off and metacopy=off")
                default: break
                }
                continue
            }
            guard TreeWriter.isKept(attribute) else { continue }
            entry.attributes[attribute] = try folder.attribute(name, attribute)
        }
        return isOpaque
    }
}
