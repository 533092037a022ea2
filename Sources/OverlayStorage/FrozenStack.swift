import Glibc
import LinuxHost
import Model

/// The frozen parts below what an instance writes, topmost first, as they are kept in its folder: the target of a
/// symbolic link, names joined by `:`.
///
/// A link is made and replaced in one step, and a journaling filesystem writes it out in order with the renames around
/// it. A file would have to be synced, which waits for all that the instance wrote.
struct FrozenStack: Sendable, Hashable {
    static let name = "stack"
    /// The stack that will hold once its topmost part has been moved away from the instance.
    static let next = "stack.next"
    /// The options of one overlay mount must hold them all, and the image's layers.
    static let limit = 100

    var parts: [String]

    init(_ parts: [String] = []) { self.parts = parts }

    /// The stack of the root in `folder`; empty if it says nothing.
    init(of folder: RootDirectory, name: String = FrozenStack.name) throws {
        guard try folder.status(name)?.kind == .symbolicLink else {
            parts = []
            return
        }
        parts = try folder.readLink(name).text.split(separator: ":").map(String.init)
        guard parts.allSatisfy({ InstanceID($0) != nil }) else {
            throw EngineError(.internal, "the link \(folder.path)/\(name) does not name frozen parts")
        }
    }

    func pushing(_ part: String) throws -> FrozenStack {
        guard parts.count < Self.limit else {
            throw EngineError(
                .resourceExhausted,
                "the root lies over \(parts.count) frozen parts already, the most that one can have",
                hint: "delete snapshots that are not needed, and make the next one while the instance is stopped")
        }
        return FrozenStack([part] + parts)
    }

    func write(to folder: RootDirectory, name: String = FrozenStack.name) throws {
        guard !parts.isEmpty else {
            if try folder.exists(name) { try folder.removeFile(name) }
            return
        }
        let temporary = ".\(name).new"
        if try folder.exists(temporary) { try folder.removeFile(temporary) }
        try folder.makeSymbolicLink(temporary, target: parts.joined(separator: ":"))
        try folder.rename(temporary, to: name)
    }
}
