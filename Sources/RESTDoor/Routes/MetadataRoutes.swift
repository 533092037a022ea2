import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model
import NIOCore
import WireTypes

/// Metadata and templates of instances.
struct MetadataRoutes: Sendable {
    let door: DoorParts
    private var instances: InstanceService { door.engine.instances }

    func add(to table: RouteTable) {
        for root in ["instances", "containers", "virtual-machines"] {
            table.add(
                "/1.0/\(root)/:name/metadata",
                [.get: { try await get($0) }, .put: { try await put($0) }, .patch: { try await patch($0) }])
            table.add(
                "/1.0/\(root)/:name/metadata/templates",
                [
                    .get: { try await template($0) }, .post: { try await write($0) },
                    .put: { try await write($0) }, .delete: { try await delete($0) },
                ])
        }
    }

    private func get(_ call: Call) async throws -> Response {
        let metadata = API.InstanceMetadata(try await stored(call))
        try door.tell("instance-metadata-retrieved", call)
        return try Reply.sync(metadata, etag: try ETag.of(metadata))
    }

    private func stored(_ call: Call) async throws -> InstanceMetadata {
        try await instances.metadata(try call.parameter("name"), project: call.project)
    }

    private func put(_ call: Call) async throws -> Response {
        try call.checkPrecondition(try ETag.of(API.InstanceMetadata(try await stored(call))))
        return try await save(call, try await call.decode(API.InstanceMetadata.self))
    }

    /// What is not said stays; keys of maps are added.
    private func patch(_ call: Call) async throws -> Response {
        let old = API.InstanceMetadata(try await stored(call))
        try call.checkPrecondition(try ETag.of(old))
        var new = try await call.decode(API.InstanceMetadata.self)
        if new.architecture.isEmpty { new.architecture = old.architecture }
        if new.creationDate == 0 { new.creationDate = old.creationDate }
        if new.expiryDate == 0 { new.expiryDate = old.expiryDate }
        new.properties = old.properties.merging(new.properties) { $1 }
        new.templates = old.templates.merging(new.templates) { $1 }
        return try await save(call, new)
    }

    private func save(_ call: Call, _ metadata: API.InstanceMetadata) async throws -> Response {
        try await instances.setMetadata(
            try call.parameter("name"), project: call.project, InstanceMetadata(metadata))
        return try Reply.done()
    }

    // MARK: templates

    private func template(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        guard let file = call.query("path") else {
            return try Reply.sync(try await instances.templates(name, project: call.project))
        }
        let bytes = try await instances.template(name, project: call.project, file: file)
        try door.tell("instance-metadata-template-retrieved", call, ["path": .string(file)])
        return Response(
            status: .ok, headers: [.contentType: "application/octet-stream"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    private func file(_ call: Call) throws -> String {
        guard let file = call.query("path") else {
            throw EngineError(.invalidArgument, "the template is not named", hint: "add ?path=NAME to the URL")
        }
        return file
    }

    private func write(_ call: Call) async throws -> Response {
        let body: ByteBuffer
        do { body = try await call.request.body.collect(upTo: Call.bodyLimit) } catch is NIOTooManyBytesError {
            throw RequestError(.contentTooLarge, "a template has at most \(Call.bodyLimit) bytes")
        }
        try await instances.setTemplate(
            try call.parameter("name"), project: call.project, file: try file(call),
            content: Array(body.readableBytesView))
        return try Reply.done()
    }

    private func delete(_ call: Call) async throws -> Response {
        try await instances.deleteTemplate(try call.parameter("name"), project: call.project, file: try file(call))
        return try Reply.done()
    }
}

extension API.InstanceMetadata {
    init(_ metadata: InstanceMetadata) {
        self.init()
        architecture = metadata.architecture
        creationDate = metadata.creationDate
        expiryDate = metadata.expiryDate
        properties = metadata.properties
        templates = metadata.templates.mapValues {
            var template = Template()
            template.when = $0.when
            template.createOnly = $0.createOnly
            template.template = $0.template
            template.properties = $0.properties
            return template
        }
    }
}

extension InstanceMetadata {
    init(_ metadata: API.InstanceMetadata) {
        self.init(
            architecture: metadata.architecture, creationDate: metadata.creationDate, expiryDate: metadata.expiryDate,
            properties: metadata.properties,
            templates: metadata.templates.mapValues {
                Template(when: $0.when, createOnly: $0.createOnly, template: $0.template, properties: $0.properties)
            })
    }
}
