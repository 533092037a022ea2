import DriverKit
import Engine
import Logging
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model

/// Images as things: list, inspect, history, tag, remove.
struct ImageRoutes: Sendable {
    let door: DockerParts
    private var images: ImageService { door.engine.images }

    func add(to table: inout PathTable) {
        table.add(.get, "/images/json") { try await list($0) }
        table.add(.post, "/images/prune") { try await prune($0) }
        table.add(.get, "/images/*name/json") { try await inspect($0) }
        table.add(.get, "/images/*name/history") { try await history($0) }
        table.add(.post, "/images/*name/tag") { try await tag($0) }
        table.add(.delete, "/images/*name") { try await delete($0) }
        table.add(.get, "/distribution/*name/json") { try await distribution($0) }
    }

    private static let filterNames: Set<String> = [
        "dangling", "label", "label!", "before", "since", "reference", "until",
    ]

    private func list(_ call: DockerCall) async throws -> Response {
        let filters = try call.filters
        try filters.allow(Self.filterNames)
        let views = try await images.list()
        let all = Set(views.flatMap(\.references))
        let dangling = try filters.bool("dangling")
        let before = try await time(filters["before"].first)
        let since = try await time(filters["since"].first)
        let until = try filters["until"].map { try Filters.time($0, now: Clock.now) }.min()
        var patterns = filters["reference"]
        // The parameter of clients before 1.25.
        if let name = call.value("filter") { patterns.append(name) }
        let found = views.filter { view in
            let created = view.record.createdAt ?? 0
            return (dangling.map { $0 == view.references.isEmpty } ?? true)
                && filters.fits(labels: view.record.config.labels)
                && (before.map { created < $0 } ?? true) && (since.map { created > $0 } ?? true)
                && (until.map { created < $0 } ?? true)
                && (patterns.isEmpty
                    || ImageRendering(view: view, all: all).tags.contains { tag in
                        patterns.contains { Self.matches($0, tag) }
                    })
        }.sorted { ($0.record.createdAt ?? 0, $0.record.digest) > ($1.record.createdAt ?? 0, $1.record.digest) }
        return DockerReply.json(
            .array(found.map { ImageRendering(view: $0, all: all).summary(containers: $0.usedBy.count) }))
    }

    private func time(_ name: String?) async throws -> Double? {
        guard let name else { return nil }
        return try await door.imageNames.find(name).record.createdAt ?? 0
    }

    /// A pattern with `*` and `?` for a name, with or without its tag (path.Match, without classes).
    static func matches(_ pattern: String, _ tag: String) -> Bool {
        let name = ImageNames.split(tag).name
        return glob(Array(pattern.utf8)[...], Array(tag.utf8)[...])
            || glob(Array(pattern.utf8)[...], Array(name.utf8)[...])
    }

    private static func glob(_ pattern: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
        // The last star and where it began to match: a step back is all there is to try again.
        var (p, t) = (pattern.startIndex, text.startIndex)
        var star: (pattern: Int, text: Int)?
        while t < text.endIndex {
            if p < pattern.endIndex, pattern[p] == UInt8(ascii: "*") {
                star = (p, t)
                p += 1
            } else if p < pattern.endIndex,
                pattern[p] == text[t] || (pattern[p] == UInt8(ascii: "?") && text[t] != UInt8(ascii: "/"))
            {
                (p, t) = (p + 1, t + 1)
            } else if let back = star, text[back.text] != UInt8(ascii: "/") {
                star = (back.pattern, back.text + 1)
                (p, t) = (back.pattern + 1, back.text + 1)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    private func rendering(_ name: String) async throws -> ImageRendering {
        let view = try await door.imageNames.find(name)
        return ImageRendering(view: view, all: Set(try await images.list().flatMap(\.references)))
    }

    private func inspect(_ call: DockerCall) async throws -> Response {
        let image = try await rendering(try call.parameter("name"))
        let comment = try await images.history(image.view.record.digest).last?.comment ?? ""
        let answer = image.inspect(comment: comment)
        // Left out by dockerd since 1.45, but Compose 1 cannot replace a container without it.
        return DockerReply.json(answer.merging(["Container": "", "ContainerConfig": answer["Config"]]))
    }

    private func history(_ call: DockerCall) async throws -> Response {
        let image = try await rendering(try call.parameter("name"))
        let entries = try await images.history(image.view.record.digest)
        return DockerReply.json(ImageRendering.history(entries, view: image.view, tags: image.tags))
    }

    private func tag(_ call: DockerCall) async throws -> Response {
        let view = try await door.imageNames.find(try call.parameter("name"))
        guard let repository = call.value("repo") else {
            throw EngineError(.invalidArgument, "repository name must have at least one component")
        }
        let name = repository + (call.value("tag").map { ":" + $0 } ?? "")
        guard !name.contains("@"), let full = ImageNames.full(name) else {
            throw EngineError(.invalidArgument, "invalid reference format: \(name)")
        }
        try await images.tag(view.record.digest, as: full)
        return DockerReply.empty(.created)
    }

    private func delete(_ call: DockerCall) async throws -> Response {
        let name = try call.parameter("name")
        let (view, reference) = try await door.imageNames.reference(name)
        let all = Set(try await images.list().flatMap(\.references))
        let force = call.flag("force")
        var answer: [JSON] = []
        func untagged(_ list: [String]) {
            for item in list { answer.append(["Untagged": .string(ImageNames.familiar(item, among: all))]) }
        }
        let byDigest = reference == view.record.digest
        if byDigest, view.references.count > 1 {
            guard force else {
                throw EngineError(
                    .conflict,
                    "conflict: unable to delete \(name) (must be forced) - image is referenced in multiple repositories"
                )
            }
            for reference in view.references.dropLast() { untagged(try await images.remove(reference).untagged) }
        }
        do {
            let target = byDigest ? view.references.last ?? view.record.digest : reference
            let removed = try await images.remove(target, force: force)
            untagged(removed.untagged)
            if let digest = removed.deleted {
                answer.append(["Deleted": .string(digest)])
                for layer in view.record.layers.reversed() { answer.append(["Deleted": .string(layer.diffID)]) }
            }
        } catch let error as EngineError where error.code == .conflict {
            let user = view.usedBy.first ?? ""
            throw EngineError(
                .conflict,
                "conflict: unable to remove repository reference \"\(name)\" (must force) - container \(user) is using its referenced image \(view.record.digest.dropFirst(7).prefix(12))"
            )
        }
        return DockerReply.json(.array(answer))
    }

    private func prune(_ call: DockerCall) async throws -> Response {
        let filters = try call.filters
        try filters.allow(["dangling", "until", "label", "label!"])
        let dangling = try filters.bool("dangling") ?? true
        let until = try filters["until"].map { try Filters.time($0, now: Clock.now) }.min()
        let views = try await images.list()
        let all = Set(views.flatMap(\.references))
        var deleted: [JSON] = []
        var freed: Int64 = 0
        for view in views where view.usedBy.isEmpty && (!dangling || view.references.isEmpty) {
            guard filters.fits(labels: view.record.config.labels),
                until.map({ (view.record.createdAt ?? 0) < $0 }) ?? true
            else { continue }
            do {
                for reference in view.references.isEmpty ? [view.record.digest] : view.references {
                    let removed = try await images.remove(reference)
                    for item in removed.untagged {
                        deleted.append(["Untagged": .string(ImageNames.familiar(item, among: all))])
                    }
                    guard let digest = removed.deleted else { continue }
                    deleted.append(["Deleted": .string(digest)])
                    freed += view.record.size
                    break
                }
            } catch let error as EngineError where [.notFound, .conflict, .busy].contains(error.code) {
                // Somebody began to use it, or was faster.
                door.logger.debug("not pruned", metadata: ["image": "\(view.record.digest)", "error": "\(error)"])
            }
        }
        return DockerReply.json([
            "ImagesDeleted": deleted.isEmpty ? nil : .array(deleted), "SpaceReclaimed": .integer(freed),
        ])
    }

    /// What a registry has under a name; the platform of what is here is known, that of others is not.
    private func distribution(_ call: DockerCall) async throws -> Response {
        let name = try call.parameter("name")
        guard let full = ImageNames.full(name) else {
            throw EngineError(.invalidArgument, "invalid reference format: \(name)")
        }
        let found = try await images.resolve(
            full, credentials: try RegistryAuth.credentials(call.header("X-Registry-Auth")))
        var platforms: [JSON] = []
        if let view = try? await images.get(found.digest) {
            platforms.append([
                "architecture": .string(ImageRendering.goArchitecture(view.record.architecture)), "os": "linux",
            ])
        }
        return DockerReply.json([
            "Descriptor": [
                "mediaType": .string(found.mediaType), "digest": .string(found.digest), "size": .integer(found.size),
            ],
            "Platforms": .array(platforms),
        ])
    }
}
