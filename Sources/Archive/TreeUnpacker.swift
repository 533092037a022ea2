import Glibc
public import LinuxHost
public import Model

/// Makes a folder tree out of a tar archive: an OCI layer, or a whole root filesystem.
///
/// Members cannot reach outside the root: every name is resolved below it by the kernel, names with `..` are refused,
/// the last name is never followed. Owners, modes, times, hard links, sparse files, file capabilities
/// (`security.capability`), `user.*` attributes and ACLs are kept; other attributes are dropped and reported, and
/// `trusted.*`, which steer overlayfs, are refused. Nothing is synced; on an error the root holds what came before it.
public enum TreeUnpacker {
    /// Reads the archive, compressed or not, from where `descriptor` stands; decompresses and writes at the same time.
    ///
    /// - Parameter name: of the archive, for messages.
    /// - Parameter digest: what the uncompressed stream must have (`sha256:…`); nil accepts any.
    /// - Throws: `invalidArgument` for what is damaged, not allowed, or has another digest; `resourceExhausted` beyond
    ///   the limits or without space; `cancelled`.
    public static func unpack(
        _ descriptor: OwnedDescriptor, named name: String, into root: RootDirectory,
        options: UnpackOptions = UnpackOptions(), expecting digest: String? = nil
    ) async throws -> UnpackReport {
        let pipeline = BlockPipeline()
        return try await withTaskCancellationHandler {
            async let filled: Void = runOnOwnThread {
                pipeline.fill { try DecompressedSource(descriptor, name: name, limits: options.limits) }
            }
            let unpacked = await runBlocking {
                defer { pipeline.abandon() }
                return Result { try unpack(pipeline, named: name, into: root, options: options, expecting: digest) }
            }
            try await filled
            return try unpacked.get()
        } onCancel: {
            pipeline.cancel()
        }
    }

    /// As above, for an uncompressed stream and on the caller's thread.
    public static func unpack(
        _ source: any BlockSource, named name: String, into root: RootDirectory,
        options: UnpackOptions = UnpackOptions(), expecting digest: String? = nil
    ) throws -> UnpackReport {
        let hashing = HashingSource(source)
        let reader = TarReader(hashing, name: name, limits: options.limits)
        let writer = TreeWriter(root: root, archive: name, options: options)
        while let entry = try reader.next() { try writer.add(entry, from: reader) }
        try writer.finish()
        var report = writer.report
        report.digest = try hashing.digest()
        report.bytes = hashing.count
        if let digest, digest != report.digest {
            throw EngineError(
                .invalidArgument, "archive \(name) has the uncompressed digest \(report.digest), not \(digest)",
                hint: "the image is damaged or was tampered with; pull it again")
        }
        return report
    }
}
