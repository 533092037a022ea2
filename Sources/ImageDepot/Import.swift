public import DriverKit
import Model

extension ImageDepot {
    public func importFile(
        _ path: String, architecture: String, progress: @escaping @Sendable (DriverKit.TransferProgress) -> Void
    ) async throws -> [IncomingImage] {
        throw EngineError(.unsupported, "pending")
    }
    public func export(
        _ images: [(digest: String, names: [String])], format: ImageArchiveFormat, to path: String
    ) async throws { throw EngineError(.unsupported, "pending") }
    func bringIn(
        rootFilesystem file: String, architecture: String, command: [String], properties: [String: String],
        progress: @escaping @Sendable (DriverKit.TransferProgress) -> Void
    ) async throws -> IncomingImage { throw EngineError(.unsupported, "pending") }
}
