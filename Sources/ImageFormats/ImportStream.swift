import Archive
import ContentStore
import LinuxHost
public import Model
import OCI

extension ImageImporter {
    /// Imports an OCI layout or a docker archive while it arrives, so that what is sent is written once. Where the
    /// documents stand in the archive does not matter; content that none of them names goes with the next prune.
    /// - Parameters:
    ///   - descriptor: a pipe or socket, read to the archive's end.
    ///   - name: what messages call it.
    /// - Throws: `invalidArgument` if the archive is damaged or something else than an image archive.
    public func importStream(
        _ descriptor: OwnedDescriptor, name: String, progress: ImportProgress? = nil
    ) async throws -> [ImportedImage] {
        let archive = try await ArchiveFile.arriving(descriptor, name: name, progress: progress)
        var survey = ArchiveSurvey()
        var contents: [String: ContentDigest] = [:]
        while let entry = try await archive.next() {
            switch try await survey.note(entry, of: archive) {
            case .foreign: throw Self.noImageArchive(name, "it has \(Names.quoted(entry.path.text))")
            case .noted: continue
            case .content: break
            }
            guard let path = ArchiveFile.normalized(entry.path), !Self.isIdle(path) else { continue }
            if let digest = Self.digest(of: path) {
                try await bringIn(digest, entry, of: archive)
                contents[path] = digest
            } else {
                let writer = try await store.writer()
                defer { writer.release() }
                try await archive.copy(to: writer)
                contents[path] = try await writer.commit().digest
            }
        }
        switch survey.kind {
        case .layout: return try await importLayout(survey, archive: name)
        case .dockerArchive:
            let table = try DockerArchiveDocument(parsing: survey.documents["manifest.json"] ?? [])
            return try await images(of: table, archive: name) { config in
                try await document(contents[config])
            } layer: { layer in
                try await stored(contents[survey.resolve(layer)])
            }
        case .rootFilesystem: throw Self.noImageArchive(name, "it has neither manifest.json nor index.json")
        }
    }

    private func document(_ digest: ContentDigest?) async throws -> [UInt8]? {
        guard let digest else { return nil }
        return try await store.read(digest)
    }

    private func stored(_ digest: ContentDigest?) async throws -> Descriptor? {
        guard let digest else { return nil }
        return Descriptor(
            mediaType: try await compression(of: digest), digest: digest, size: try await store.size(digest))
    }

    /// Small files that older `docker save` wrote beside each layer, and that nothing needs.
    private static func isIdle(_ path: String) -> Bool {
        ["VERSION", "json", "repositories"].contains(path.split(separator: "/").last.map(String.init) ?? "")
    }

    private static func noImageArchive(_ name: String, _ why: String) -> EngineError {
        EngineError(
            .invalidArgument, "archive \(name) is no image archive: \(why)",
            hint: "a root filesystem is brought in by docker import or isle image import")
    }
}
