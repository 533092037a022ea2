import Archive
import LinuxHost
import Model
import OCI

/// What the first pass over a tar found: which kind of archive it is, and its table of contents.
struct ArchiveSurvey: Sendable {
    enum Kind: Sendable { case layout, dockerArchive, rootFilesystem }

    /// The documents that say what an archive holds, by name.
    private(set) var documents: [String: [UInt8]] = [:]
    /// Where links of a docker archive lead, by name. (Older `docker save` links equal layers to one another.)
    private(set) var links: [String: String] = [:]
    private(set) var isEmpty = true

    private static let documentNames: Set = ["oci-layout", "index.json", "manifest.json"]
    /// A folder of this name at the top ends the search: no image archive has one.
    private static let rootFolders: Set = [
        "bin", "boot", "dev", "etc", "home", "lib", "lib64", "opt", "proc", "root", "run", "sbin", "srv", "sys", "tmp",
        "usr", "var",
    ]

    /// What a member is to an image archive.
    enum Member: Sendable {
        /// Bytes that a document may name.
        case content
        /// Taken note of, or of no use.
        case noted
        /// Something that no image archive has: this is a tar of something else.
        case foreign
    }

    /// Reads headers until it is sure.
    static func make(_ path: String, progress: ImportProgress?) async throws -> ArchiveSurvey {
        var survey = ArchiveSurvey()
        let archive = try await runBlocking { try ArchiveFile(path, progress: progress) }
        while let entry = try await archive.next() {
            if try await survey.note(entry, of: archive) == .foreign { return ArchiveSurvey() }
        }
        guard !survey.isEmpty else { throw EngineError(.invalidArgument, "archive \(Names.quoted(path)) is empty") }
        return survey
    }

    /// Takes note of the archive's present member, and reads it if it is a document.
    mutating func note(_ entry: TarEntry, of archive: ArchiveFile) async throws -> Member {
        isEmpty = false
        guard let name = ArchiveFile.normalized(entry.path) else { return .noted }
        if Self.rootFolders.contains(String(name.prefix { $0 != "/" })) { return .foreign }
        if Self.documentNames.contains(name), entry.kind == .file {
            documents[name] = try await archive.bytes(limit: ManifestDocument.Bounds.documentBytes)
            return .noted
        }
        if entry.kind == .symbolicLink || entry.kind == .hardLink, name.hasSuffix(".tar") {
            links[name] = Self.target(of: entry, at: name)
        }
        return entry.kind == .file ? .content : .noted
    }

    /// What the documents say so far; an archive that names none is taken for a root filesystem.
    var kind: Kind {
        if documents["oci-layout"] != nil, documents["index.json"] != nil { return .layout }
        return documents["manifest.json"] != nil ? .dockerArchive : .rootFilesystem
    }

    /// The member that holds the bytes of `name`: links are followed within the archive's own names.
    func resolve(_ name: String) -> String {
        var name = name
        for _ in 0..<8 {
            guard let next = links[name] else { return name }
            name = next
        }
        return name
    }

    private static func target(of entry: TarEntry, at name: String) -> String? {
        if entry.kind == .hardLink { return ArchiveFile.normalized(entry.linkTarget) }
        guard entry.linkTarget.bytes.first != UInt8(ascii: "/") else { return nil }
        var parts = name.split(separator: "/").dropLast().map(String.init)
        for part in entry.linkTarget.text.split(separator: "/") where part != "." {
            if part == ".." {
                guard parts.popLast() != nil else { return nil }
            } else {
                parts.append(String(part))
            }
        }
        return parts.joined(separator: "/")
    }
}
