import Logging
import Model

/// Names of records that are in the database and cannot be read, as after a later version wrote them. What is known by
/// such a name is neither used, nor replaced, nor taken away.
struct UnreadableRecords {
    /// What the records are of, as `network`.
    let kind: String
    private(set) var names: Set<String> = []

    init(_ kind: String) { self.kind = kind }

    mutating func found(_ new: [String], _ logger: Logger) {
        names.formUnion(new)
        for name in new {
            logger.error(
                "the record of a \(kind) cannot be read; it and what belongs to it are left as they are",
                metadata: ["name": "\(name)"])
        }
    }

    /// Throws `unavailable` if the record of that name is one of them.
    ///
    /// - Parameter shown: what users call it, where that is not the whole name.
    func refuse(_ name: String, as shown: String? = nil) throws {
        guard names.contains(name) else { return }
        throw EngineError(
            .unavailable, "the record of \(kind) \(Names.quoted(shown ?? name)) cannot be read",
            hint: "start the version of Isle that wrote it; nothing of it was changed",
            resource: "\(kind) \(shown ?? name)")
    }
}
