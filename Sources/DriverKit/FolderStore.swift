/// Whole folders of Isle's own: instances' files, volumes, temporary ones. Work is done through descriptors, so that
/// nothing outside a folder is ever touched, whatever is inside it.
public protocol FolderStore: Sendable {
    /// Removes the folder at `path` (absolute) and all below it; symbolic links are removed, not followed. No error if
    /// it is not there.
    func remove(_ path: String) async throws
    /// Bytes that the files below `path` occupy on disk, as du(1) counts them.
    func usage(_ path: String) async throws -> Int64
}
