import DoorKit
import Engine
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// Uploads of disc images, which become volumes: `X-LXD-type: iso`, `X-LXD-name`.
struct DiscUpload: Sendable {
    let door: DoorParts

    /// nil: it is no upload of a disc image.
    func receive(_ call: Call, pool: String) async throws -> Response? {
        let headers = ImageUploadHeaders(call)
        guard headers[API.VolumeUploadHeader.type] == API.VolumeUploadHeader.disc else { return nil }
        guard let name = headers[API.VolumeUploadHeader.name], !name.isEmpty else {
            throw EngineError(.invalidArgument, "the header \(API.VolumeUploadHeader.name) is missing")
        }
        try Names.checkVolume(name)
        let record = VolumeRecord(
            project: call.project, pool: pool, name: name, createdAt: Date().timeIntervalSince1970, content: .iso)
        let file = try Spool(directory: door.engine.layout.temporary, name: "disc", format: "iso")
        do {
            try await file.fill(call.request.body)
            let volumes = door.engine.volumes
            let path = "/1.0/storage-pools/\(pool)/volumes/custom/\(name)"
            return try await door.operation(
                "Importing disc image", project: call.project, resources: ["storage_volumes": [path]]
            ) { _ in
                do { try await volumes.importDisc(record, from: file.path) } catch {
                    await file.remove()
                    throw error
                }
                await file.remove()
                return [:]
            }
        } catch {
            await file.remove()
            throw error
        }
    }
}
