/// Gives a new volume what an image has at the place where the volume is mounted, as Docker does.
public protocol VolumeFiller: Sendable {
    /// Puts a copy of all that is in the folder `path` of the image made of `layers` (lowest first) into `folder`, with
    /// owners, modes and times, and gives `folder` itself the owner and mode that it has there. Device nodes are left
    /// out. What was in `folder` is removed first; on an error it is empty.
    ///
    /// - Parameters:
    ///   - folder: of the host.
    ///   - path: absolute inside the image; links in it are followed inside the image.
    ///   - staging: a folder for work in progress.
    /// - Returns: false if the image has no folder there.
    func fill(_ folder: String, from path: String, layers: [String], staging: String) async throws -> Bool
}
