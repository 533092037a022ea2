public import Model
import StateStore

extension ImageService {
    public func aliases(project: String = "default") async throws -> [ImageAlias] {
        try await parts.store.imageAliases().filter { $0.project == project }
    }

    /// `notFound` if the project has no alias of that name.
    public func alias(_ name: String, project: String = "default") async throws -> ImageAlias {
        guard let alias = try await parts.store.imageAlias(project: project, name: name) else {
            throw EngineError(
                .notFound, "image alias \(Names.quoted(name)) does not exist",
                hint: "isle image list shows those that do")
        }
        return alias
    }

    /// `alreadyExists` if the name is taken, `notFound` if there is no such image.
    public func addAlias(_ name: String, for image: String, description: String = "", project: String = "default")
        async throws
    {
        try Self.checkAlias(name)
        let record = try await get(image, project: project).record
        try await parts.store.save(
            ImageAlias(project: project, name: name, description: description, digest: record.digest))
        event("image-alias-created", name, project)
    }

    /// Points an alias elsewhere or describes it anew; nil leaves what is there.
    public func updateAlias(_ name: String, target: String?, description: String?, project: String = "default")
        async throws
    {
        var alias = try await alias(name, project: project)
        if let target { alias.digest = try await get(target, project: project).record.digest }
        if let description { alias.description = description }
        try await parts.store.save(alias, replacing: name)
        event("image-alias-updated", name, project)
    }

    public func renameAlias(_ name: String, to new: String, project: String = "default") async throws {
        try Self.checkAlias(new)
        var alias = try await alias(name, project: project)
        guard name != new else { return }
        alias.name = new
        try await parts.store.save(alias, replacing: name)
        event("image-alias-renamed", new, project)
    }

    public func removeAlias(_ name: String, project: String = "default") async throws {
        guard try await parts.store.deleteImageAlias(project: project, name: name) else {
            _ = try await alias(name, project: project)
            return
        }
        event("image-alias-deleted", name, project)
    }

    /// Refuses names that are taken, before work begins whose last step would give them.
    func checkFree(_ aliases: [ImageAlias], project: String) async throws {
        for alias in aliases {
            try Self.checkAlias(alias.name)
            guard try await parts.store.imageAlias(project: project, name: alias.name) == nil else {
                throw EngineError(
                    .alreadyExists, "the image alias \(Names.quoted(alias.name)) exists already",
                    hint: "delete it first, or choose another name")
            }
        }
    }

    /// 1 to 128 bytes without control characters and white space, no dash first.
    static func checkAlias(_ name: String) throws {
        let bytes = Array(name.utf8)
        guard (1...128).contains(bytes.count), bytes.first != UInt8(ascii: "-"),
            name.unicodeScalars.allSatisfy({ $0.value > 0x20 && !(0x7f...0xa0).contains($0.value) })
        else {
            throw EngineError(
                .invalidArgument, "image alias \(Names.quoted(name)) is not allowed",
                hint: "use 1 to 128 bytes without spaces and control characters, no dash first")
        }
    }

    private func event(_ action: String, _ name: String, _ project: String) {
        parts.events.lifecycle(action, "/1.0/images/aliases/\(name)", project: project)
    }
}
