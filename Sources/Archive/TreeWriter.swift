import CHost
import Glibc
import LinuxHost
import Model

/// Writes the members of one archive below a root, in their order.
final class TreeWriter {
    let root: RootDirectory
    let archive: String
    let options: UnpackOptions
    var report = UnpackReport()

    /// The folder that the last member was put into, since the next one mostly goes there too.
    private var cached: (names: [HostPath], folder: RootDirectory)?
    /// What folders get at the end: writing into them would change their time, and their mode may forbid it.
    private var pending: [HostPath: (permissions: UInt32, modified: FileTime)] = [:]

    init(root: RootDirectory, archive: String, options: UnpackOptions) {
        self.root = root
        self.archive = archive
        self.options = options
    }

    func add(_ entry: TarEntry, from reader: TarReader) throws {
        let names = try checkedNames(entry.path, of: entry)
        report.entries += 1
        guard let last = names.last else {
            guard entry.kind == .directory else { throw refused(entry, "its name is that of the root folder") }
            try finishFolder(entry, names, in: root, name: .init("."))
            return
        }
        if options.whiteouts == .overlay, try addWhiteout(entry, names) { return }
        let parent = try folder(Array(names.dropLast()))
        switch entry.kind {
        case .file:
            let file = try create(last, in: parent, entry) { try parent.createFile(last, mode: 0o600) }
            try writeFile(file, entry, from: reader)
        case .directory:
            try createFolder(entry, names, last, in: parent)
        case .symbolicLink:
            guard (1..<4096).contains(entry.linkTarget.bytes.count) else {
                throw refused(entry, "its target is empty or too long")
            }
            try create(last, in: parent, entry) { try parent.makeSymbolicLink(last, target: entry.linkTarget) }
            try finishNode(entry, last, in: parent, isLink: true)
        case .hardLink:
            try createHardLink(entry, names, last, in: parent)
        case .fifo:
            try create(last, in: parent, entry) { try parent.makeNode(last, .fifo) }
            try finishNode(entry, last, in: parent, isLink: false)
        case .characterDevice, .blockDevice:
            try createDevice(entry, last, in: parent)
        }
    }

    /// Gives folders their modes and times, the innermost first.
    func finish() throws {
        let deepestFirst = pending.sorted { $0.key.components.count > $1.key.components.count }
        for (path, values) in deepestFirst {
            guard try root.status(path)?.kind == .directory else { continue }
            try root.setPermissions(path, values.permissions)
            try root.setModified(path, values.modified)
        }
    }

    // MARK: - Names

    /// The names of a path in the archive, without a leading slash or `.`.
    private func checkedNames(_ path: HostPath, of entry: TarEntry) throws -> [HostPath] {
        let names = path.components
        guard path.bytes.count <= 4096 else { throw refused(entry, "its path has more than 4096 bytes") }
        for name in names {
            guard name != ".." else { throw refused(entry, "its path has '..' in it") }
            guard name.bytes.count <= 255 else { throw refused(entry, "its path has a name of more than 255 bytes") }
        }
        return names
    }

    func refused(_ entry: TarEntry, _ why: String) -> EngineError {
        EngineError(.invalidArgument, "member \(entry.name) of archive \(archive) is refused: \(why)")
    }

    static func joined(_ names: [HostPath]) -> HostPath {
        names.isEmpty ? "." : HostPath(bytes: Array(names.map(\.bytes).joined(separator: [UInt8(ascii: "/")])))
    }

    /// The folder named by `names`, made with mode 0755 if the archive has not named it yet.
    func folder(_ names: [HostPath]) throws -> RootDirectory {
        if names.isEmpty { return root }
        if let cached, cached.names == names { return cached.folder }
        let path = Self.joined(names)
        let folder: RootDirectory
        do {
            folder = try root.subdirectory(path)
        } catch let error as EngineError where error.code == .notFound {
            let missing = try names.indices.map { Self.joined(Array(names[...$0])) }.filter { try !root.exists($0) }
            try root.makeDirectories(path)
            // The daemon's umask must not show.
            for path in missing { try root.setPermissions(path, 0o755) }
            folder = try root.subdirectory(path)
        }
        cached = (names, folder)
        return folder
    }

    /// Creates a name; what an earlier member put there makes way. True if that was the mark of a removed name.
    @discardableResult
    private func create<T>(_ name: HostPath, in parent: RootDirectory, _ entry: TarEntry, _ body: () throws -> T) throws
        -> T
    {
        do {
            return try body()
        } catch let error as EngineError where error.code == .alreadyExists {
            try clear(name, in: parent, entry)
            return try body()
        }
    }

    private func clear(_ name: HostPath, in parent: RootDirectory, _ entry: TarEntry) throws {
        try parent.removeTree(name)
        // The present folder, or a link that led to it, may have gone.
        cached = nil
        let prefix = entry.path.components
        pending = pending.filter { !$0.key.components.starts(with: prefix) }
    }

    // MARK: - Kinds

    private func createFolder(_ entry: TarEntry, _ names: [HostPath], _ last: HostPath, in parent: RootDirectory) throws
    {
        do {
            try parent.makeDirectory(last)
        } catch let error as EngineError where error.code == .alreadyExists {
            let there = try parent.status(last)
            if there?.kind != .directory {
                try clear(last, in: parent, entry)
                try parent.makeDirectory(last)
                // It was removed below and is made anew here: what the lower folder holds must not show.
                if let there, isWhiteout(there) { try setOpaque(names) }
            }
        }
        try finishFolder(entry, names, in: parent, name: last)
    }

    private func createHardLink(_ entry: TarEntry, _ names: [HostPath], _ last: HostPath, in parent: RootDirectory)
        throws
    {
        let target = try checkedNames(entry.linkTarget, of: entry)
        guard let targetName = target.last else { throw refused(entry, "it links to the root folder") }
        guard target != names else { throw refused(entry, "it links to itself") }
        let source = try root.subdirectoryIfPresent(Self.joined(Array(target.dropLast())))
        guard let source, let status = try source.status(targetName) else {
            throw refused(
                entry, "it links to \(Names.quoted(entry.linkTarget.text)), which is not in the archive before it")
        }
        guard status.kind != .directory else { throw refused(entry, "it links to a folder") }
        let there = try parent.status(last)
        // Two names of one file already: removing one to make it again could lose the file.
        if let there, (there.device, there.inode) == (status.device, status.inode) { return }
        if there != nil { try clear(last, in: parent, entry) }
        let full = Self.joined(names)
        try root.makeHardLink(full, to: Self.joined(target))
    }

    private func createDevice(_ entry: TarEntry, _ last: HostPath, in parent: RootDirectory) throws {
        // 0:0 is overlayfs's own mark, which an archive may set only by a whiteout's name.
        guard options.devices == .create, entry.major != 0 || entry.minor != 0 else {
            report.skippedDevices += 1
            if report.skippedDevicePaths.count < 20 { report.skippedDevicePaths.append(entry.path.text) }
            return
        }
        let kind: FileStatus.Kind = entry.kind == .blockDevice ? .blockDevice : .characterDevice
        try create(last, in: parent, entry) { try parent.makeNode(last, kind, major: entry.major, minor: entry.minor) }
        try finishNode(entry, last, in: parent, isLink: false)
    }

    // MARK: - Metadata

    private func finishFolder(_ entry: TarEntry, _ names: [HostPath], in parent: RootDirectory, name: HostPath) throws {
        if options.keepOwners { try parent.setOwner(name, user: entry.user, group: entry.group) }
        try setAttributes(entry) { try parent.setAttribute(name, $0, $1) }
        pending[Self.joined(names)] = (entry.permissions, entry.modified)
    }

    private func finishNode(_ entry: TarEntry, _ name: HostPath, in parent: RootDirectory, isLink: Bool) throws {
        if options.keepOwners { try parent.setOwner(name, user: entry.user, group: entry.group) }
        if !isLink { try parent.setPermissions(name, entry.permissions) }
        try setAttributes(entry) { try parent.setAttribute(name, $0, $1) }
        try parent.setModified(name, entry.modified)
    }

    /// Owner first, since chown(2) clears set-user-id bits and capabilities; the time last.
    func finishFile(_ file: OwnedDescriptor, _ entry: TarEntry) throws {
        func check(_ result: Int32, _ action: String) throws {
            guard result >= 0 else { throw EngineError.system(-result, "\(action) \(root.path)/\(entry.path.text)") }
        }
        if options.keepOwners { try check(isle_fchown(file.raw, entry.user, entry.group), "set the owner of") }
        try check(isle_fchmod(file.raw, entry.permissions), "set the mode of")
        try setAttributes(entry) { name, value in
            try check(isle_setxattr(file.raw, name, value, value.count), "set attribute \(name) of")
        }
        let time = entry.modified
        try check(
            isle_utimensat(file.raw, nil, time.seconds, time.nanoseconds, time.seconds, time.nanoseconds),
            "set the time of")
    }

    private func setAttributes(_ entry: TarEntry, _ set: (String, [UInt8]) throws -> Void) throws {
        guard !entry.attributes.isEmpty else { return }
        for (name, value) in entry.attributes {
            guard !name.hasPrefix("trusted.") else {
                throw refused(entry, "it carries the attribute \(Names.quoted(name)), which only the host may set")
            }
            guard name.utf8.count <= 255, !name.utf8.contains(0) else {
                throw refused(entry, "it carries an attribute whose name has more than 255 bytes")
            }
            guard Self.isKept(name) else {
                report.droppedAttributes[name, default: 0] += 1
                continue
            }
            do {
                try set(name, value)
            } catch let error as EngineError where error.code == .unsupported || error.systemErrorNumber == EPERM {
                // A filesystem without such attributes, or a link, which has no user attributes.
                report.droppedAttributes[name, default: 0] += 1
            }
        }
    }

    static func isKept(_ name: String) -> Bool {
        name == "security.capability" || name == "system.posix_acl_access" || name == "system.posix_acl_default"
            || (name.hasPrefix("user.") && !name.hasPrefix("user.overlay."))
    }
}

extension RootDirectory {
    /// The folder at `path`, nil if there is none.
    func subdirectoryIfPresent(_ path: HostPath) throws -> RootDirectory? {
        do {
            return try subdirectory(path)
        } catch let error as EngineError where error.code == .notFound {
            return nil
        }
    }
}
