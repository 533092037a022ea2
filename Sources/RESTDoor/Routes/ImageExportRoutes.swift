import DoorKit
import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/1.0/images/:image/export`: the image as files.
struct ImageExportRoutes: Sendable {
    let door: DoorParts
    private var images: ImageService { door.engine.images }

    func add(to table: RouteTable) {
        table.add("/1.0/images/:image/export", [.get: { try await export($0) }])
    }

    /// `format=oci` and `docker` are Isle's; without, or with `lxd`, it is what LXD's clients expect: the files whose
    /// SHA-256 is the fingerprint. An image without such files is refused: a client that compares what it was given
    /// with the fingerprint could only say that it is damaged.
    private func export(_ call: Call) async throws -> Response {
        let name = try call.parameter("image")
        try await door.admit(call, name, use: true)
        let view = try await images.get(name, project: await door.imageProject(call))
        door.engine.events.lifecycle(
            "image-retrieved", "/1.0/images/\(view.record.fingerprint)", project: await door.imageProject(call))
        let text = call.query("format") ?? "lxd"
        if text == "lxd" { return try await bundle(call, view.record) }
        guard let format = ImageArchiveFormat(rawValue: text) else {
            throw EngineError(.invalidArgument, "the format is none of oci, docker and lxd")
        }
        let file = try Spool(directory: door.engine.layout.temporary, name: "image.tar", format: nil)
        do {
            try await images.export([name], format: format, to: file.path)
            return Response(
                status: .ok, headers: Self.headers("\(view.record.fingerprint.prefix(12)).tar"), body: try file.body())
        } catch {
            await file.remove()
            throw error
        }
    }

    private func bundle(_ call: Call, _ record: ImageRecord) async throws -> Response {
        let spool = try Spool(directory: door.engine.layout.temporary, name: "export", format: nil)
        do {
            let files = try await images.bundleFiles(
                record.digest, project: await door.imageProject(call), folder: spool.folder)
            guard files.count > 1 else {
                let name = Self.fileName(files[0].name, record, isRoot: false)
                let body = try FileBody.make([.file(files[0].path)]) { await spool.removeAll() }
                return Response(status: .ok, headers: Self.headers(name), body: body)
            }
            let boundary = "isle-\(record.fingerprint.prefix(32))"
            let root = record.content == .disk ? "rootfs.img" : "rootfs"
            var pieces: [FileBody.Piece] = []
            for (index, file) in files.enumerated() {
                let name = Self.fileName(file.name, record, isRoot: index > 0)
                let head =
                    "\(index == 0 ? "" : "\r\n")--\(boundary)\r\nContent-Disposition: form-data; "
                    + "name=\"\(index == 0 ? "metadata" : root)\"; filename=\"\(name)\"\r\n"
                    + "Content-Type: application/octet-stream\r\n\r\n"
                pieces += [.bytes(Array(head.utf8)), .file(file.path)]
            }
            pieces.append(.bytes(Array("\r\n--\(boundary)--\r\n".utf8)))
            let body = try FileBody.make(pieces) { await spool.removeAll() }
            return Response(
                status: .ok, headers: [.contentType: "multipart/form-data; boundary=\(boundary)"], body: body)
        } catch {
            await spool.removeAll()
            throw error
        }
    }

    /// The fingerprint with the ending that the file came with.
    private static func fileName(_ name: String, _ record: ImageRecord, isRoot: Bool) -> String {
        let known = [
            ".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2", ".tar.lzma", ".tgz", ".tar", ".squashfs", ".qcow2", ".img",
        ]
        let ending = known.first { name.hasSuffix($0) } ?? (isRoot && record.content == .disk ? ".qcow2" : ".tar")
        return (isRoot || record.bundle?.files.count != 2 ? "" : "meta-") + record.fingerprint + ending
    }

    private static func headers(_ name: String) -> HTTPFields {
        [.contentType: "application/octet-stream", .contentDisposition: "attachment; filename=\(name)"]
    }
}
