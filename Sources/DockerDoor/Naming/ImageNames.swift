import Engine
import Model

/// Names of images between Docker's way to write them and the engine's full references.
///
/// A bare name is one of `docker.io/library`, as with Docker. Images that Isle keeps under `localhost/` go by their bare
/// names too, unless `docker.io` has one of that name.
struct ImageNames: Sendable {
    let images: ImageService

    /// The image that a client means. `notFound` in Docker's words.
    func find(_ name: String) async throws -> ImageView {
        let candidates = Self.isDigest(name) ? [name] : [Self.full(name), Self.local(name)].compactMap { $0 }
        for candidate in candidates {
            do {
                return try await images.get(candidate)
            } catch let error as EngineError where error.code == .notFound || error.code == .invalidArgument {
                continue
            }
        }
        if let view = try await byDigest(name) { return view }
        throw Self.missing(name)
    }

    /// Of `name`: the engine's own name for the image, by reference if the client named one.
    func reference(_ name: String) async throws -> (view: ImageView, reference: String) {
        let view = try await find(name)
        let match = [Self.full(name), Self.local(name)].compactMap { $0 }.first { view.references.contains($0) }
        return (view, match ?? view.record.digest)
    }

    private func byDigest(_ name: String) async throws -> ImageView? {
        let hex = name.hasPrefix("sha256:") ? String(name.dropFirst(7)) : name
        guard ContainerID.isHexadecimal(hex), hex.utf8.count >= 2 else { return nil }
        let matches = try await images.list().filter { $0.record.digest.dropFirst(7).hasPrefix(hex) }
        guard matches.count < 2 else {
            throw EngineError(.invalidArgument, "multiple images found with provided prefix: \(name)")
        }
        return matches.first
    }

    static func missing(_ name: String) -> EngineError {
        let isTagged = isDigest(name) || tagIndex(name) != nil
        return EngineError(.notFound, "No such image: \(isTagged ? name : name + ":latest")")
    }

    static func isDigest(_ name: String) -> Bool {
        name.hasPrefix("sha256:") || (name.utf8.count == 64 && ContainerID.isHexadecimal(name))
    }

    // MARK: text

    /// The reference as `docker.io` has it, unless another registry is named; nil for what cannot be one.
    static func full(_ name: String) -> String? {
        guard isReference(name) else { return nil }
        let tagged = name.contains("@") || tagIndex(name) != nil ? name : name + ":latest"
        let first = tagged.split(separator: "/", omittingEmptySubsequences: false).first.map(String.init) ?? ""
        let hasRegistry = tagged.contains("/") && (first.contains(".") || first.contains(":") || first == "localhost")
        if hasRegistry {
            for alias in ["index.docker.io/", "registry-1.docker.io/"] where tagged.hasPrefix(alias) {
                return full(String(tagged.dropFirst(alias.count)))
            }
            if tagged.hasPrefix("docker.io/"), tagged.dropFirst(10).contains("/") == false {
                return "docker.io/library/" + tagged.dropFirst(10)
            }
            return tagged
        }
        return "docker.io/" + (tagged.contains("/") ? "" : "library/") + tagged
    }

    /// Isle's own name for a bare one.
    static func local(_ name: String) -> String? {
        guard let full = full(name), full.hasPrefix("docker.io/") else { return nil }
        let path = full.dropFirst(10)
        return "localhost/" + (path.hasPrefix("library/") ? path.dropFirst(8) : path)
    }

    /// The name that people write. - Parameter all: every reference there is, which a short name must not be mistaken for.
    static func familiar(_ reference: String, among all: Set<String>) -> String {
        if reference.hasPrefix("docker.io/library/") { return String(reference.dropFirst(18)) }
        if reference.hasPrefix("docker.io/") { return String(reference.dropFirst(10)) }
        if reference.hasPrefix("localhost/") {
            let short = String(reference.dropFirst(10))
            if let hub = full(short), hub.hasPrefix("docker.io/"), !all.contains(hub) { return short }
        }
        return reference
    }

    /// Name and tag of a reference with a tag: `localhost:5000/a:1` → (`localhost:5000/a`, `1`).
    static func split(_ reference: String) -> (name: String, tag: String?) {
        guard !reference.contains("@"), let colon = tagIndex(reference) else {
            return (String(reference.prefix { $0 != "@" }), nil)
        }
        return (String(reference[..<colon]), String(reference[reference.index(after: colon)...]))
    }

    /// The colon before the tag.
    static func tagIndex(_ name: String) -> String.Index? {
        guard let colon = name.lastIndex(of: ":"), !name[colon...].contains("/") else { return nil }
        return colon
    }

    private static func isReference(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 255 && !name.hasPrefix("/") && !name.hasSuffix("/")
            && name.utf8.allSatisfy { $0 > 32 && $0 < 127 }
    }
}
