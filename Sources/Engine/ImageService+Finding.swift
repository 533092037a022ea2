public import Model
import StateStore

extension ImageRecord {
    /// Whether a project shows it; nil: whether any does.
    func isShown(in project: String?) -> Bool {
        let projects = projects ?? ["default"]
        guard let project else { return !projects.isEmpty }
        return projects.contains(project)
    }

    /// The name by which LXD's clients know it: of its files if it is one of LXD's images, else of its manifest.
    public var fingerprint: String { bundle?.fingerprint ?? String(digest.dropFirst("sha256:".utf8.count)) }

    /// Whether its fingerprint or its manifest's digest begins with `hex`.
    func answers(to hex: String) -> Bool {
        digest.dropFirst("sha256:".utf8.count).hasPrefix(hex) || bundle?.fingerprint.hasPrefix(hex) == true
    }
}

extension ImageService {
    /// The image as it is here, nothing fetched.
    func find(_ name: String, project: String = "default") async throws -> ImageRecord? {
        if let alias = try await parts.store.imageAlias(project: project, name: name) {
            return try await parts.store.image(digest: alias.digest)
        }
        if let digest = try await parts.store.imageDigest(reference: name) {
            return try await parts.store.image(digest: digest)
        }
        if let content = Self.content(of: name) {
            return try await parts.store.images().records.first {
                $0.content != .rootFilesystem && $0.layers.map(\.digest) == [content]
            }
        }
        if let match = try await byDigits(name, project, atLeast: 12) { return match }
        if let base = BaseName(name), let digest = try await parts.store.imageDigest(reference: base.reference) {
            return try await parts.store.image(digest: digest)
        }
        for candidate in try candidates(name) {
            if let digest = try await parts.store.imageDigest(reference: candidate) {
                return try await parts.store.image(digest: digest)
            }
        }
        // LXD's clients shorten fingerprints as far as they like.
        return try await byDigits(name, project, atLeast: 3)
    }

    /// The image whose digest or fingerprint begins with these digits.
    private func byDigits(_ name: String, _ project: String, atLeast least: Int) async throws -> ImageRecord? {
        let hex = name.hasPrefix("sha256:") ? String(name.dropFirst(7)) : name
        guard (least...64).contains(hex.utf8.count),
            hex.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) })
        else { return nil }
        let matches = try await parts.store.images().records.filter { $0.answers(to: hex) && $0.isShown(in: project) }
        if matches.count > 1 {
            throw EngineError(
                .invalidArgument, "\(matches.count) images begin with the digest \(hex)", hint: "give more digits")
        }
        return matches.first
    }
}
