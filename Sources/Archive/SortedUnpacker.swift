import Glibc
public import LinuxHost
public import Model

/// Makes several trees out of one archive, each of the members below one folder of it. What lies in none of them is
/// passed over.
///
/// The promises of `TreeUnpacker` hold for each tree. Hard links lead from one member of a tree to another of the same.
public enum SortedUnpacker {
    /// Where the members below a folder of the archive go.
    public struct Target: Sendable {
        /// A path in the archive.
        public var folder: HostPath
        public var root: RootDirectory
        /// The file of `root` that takes the member at `folder`, which is a file then; nil: `folder` is a tree.
        public var file: String?

        public init(folder: HostPath, root: RootDirectory, file: String? = nil) {
            self.folder = folder
            self.root = root
            self.file = file
        }
    }

    /// - Parameter name: of the archive, for messages.
    /// - Returns: the folders of which there was at least one member.
    /// - Throws: as `TreeUnpacker` does.
    public static func unpack(
        _ descriptor: OwnedDescriptor, named name: String, into targets: [Target],
        limits: ArchiveLimits = ArchiveLimits()
    ) async throws -> [HostPath] {
        let pipeline = BlockPipeline()
        return try await withTaskCancellationHandler {
            async let filled: Void = runOnOwnThread {
                pipeline.fill { try DecompressedSource(descriptor, name: name, limits: limits) }
            }
            let found = await runBlocking {
                defer { pipeline.abandon() }
                return Result { try unpack(pipeline, named: name, into: targets, limits: limits) }
            }
            try await filled
            return try found.get()
        } onCancel: {
            pipeline.cancel()
        }
    }

    private static func unpack(
        _ source: any BlockSource, named name: String, into targets: [Target], limits: ArchiveLimits
    ) throws -> [HostPath] {
        let reader = TarReader(source, name: name, limits: limits)
        let options = UnpackOptions(whiteouts: .ordinary, limits: limits)
        let sorted = targets.map {
            ($0, names: $0.folder.components, TreeWriter(root: $0.root, archive: name, options: options))
        }
        var found: Set<HostPath> = []
        while let entry = try reader.next() {
            let names = entry.path.components
            guard !names.contains("..") else {
                throw EngineError(.invalidArgument, "member \(entry.name) of archive \(name) is refused: it climbs")
            }
            guard let (target, folder, writer) = sorted.first(where: { names.starts(with: $0.names) }) else { continue }
            found.insert(target.folder)
            var moved = entry
            if let file = target.file {
                guard names.count == folder.count, entry.kind == .file else {
                    throw EngineError(
                        .invalidArgument, "member \(entry.name) of archive \(name) is refused: it should be a file")
                }
                moved.path = HostPath(file)
            } else {
                moved.path = TreeWriter.joined(Array(names.dropFirst(folder.count)))
            }
            if entry.kind == .hardLink {
                let link = entry.linkTarget.components
                guard link.starts(with: folder) else {
                    throw EngineError(
                        .invalidArgument, "member \(entry.name) of archive \(name) is refused: it links to another tree"
                    )
                }
                moved.linkTarget = TreeWriter.joined(Array(link.dropFirst(folder.count)))
            }
            try writer.add(moved, from: reader)
        }
        for (_, _, writer) in sorted { try writer.finish() }
        return Array(found)
    }
}
