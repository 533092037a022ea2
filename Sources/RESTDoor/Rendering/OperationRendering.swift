import Engine
import HTTPTypes
import Model
import WireTypes

extension JSONValue {
    init(_ value: Metadata) {
        switch value {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .int(value)
        case .double(let value): self = .double(value)
        case .string(let value): self = .string(value)
        case .array(let values): self = .array(values.map { JSONValue($0) })
        case .object(let members): self = .object(members.mapValues { JSONValue($0) })
        }
    }
}

extension API.Operation {
    init(_ record: OperationRecord) {
        self.init()
        id = record.id
        `class` = record.class.rawValue
        description = record.description
        createdAt = WireTypes.Timestamp.string(record.createdAt)
        updatedAt = WireTypes.Timestamp.string(record.updatedAt)
        let code = record.status.code
        status = code.text
        statusCode = code.rawValue
        resources = record.resources
        metadata = record.metadata.isEmpty ? nil : record.metadata.mapValues { JSONValue($0) }
        mayCancel = record.mayCancel && !record.status.isFinal
        err = record.error?.description ?? ""
        errorCode = record.error?.code.httpStatus.code
    }
}

extension OperationRecord.Status {
    var code: API.StatusCode {
        switch self {
        case .pending: .pending
        case .running: .running
        case .cancelling: .cancelling
        case .success: .success
        case .failure: .failure
        case .cancelled: .cancelled
        }
    }
}

extension API.Event {
    /// - Parameter operation: for the topic operation, the operation as it is now.
    init(_ event: EngineEvent, operation: OperationRecord?) throws {
        self.init()
        type = event.topic.rawValue
        timestamp = WireTypes.Timestamp.string(event.timestamp)
        project = event.project
        switch event.topic {
        case .lifecycle:
            var members: [String: JSONValue] = [
                "action": .string(event.action), "project": .string(event.project),
                "source": .string(Path.scoped(event.source, event.project)),
                "name": .string(event.source.split(separator: "/").last.map(String.init) ?? ""),
                "context": .object(event.context.mapValues { JSONValue($0) }),
            ]
            if let requestor = event.requestor {
                members["requestor"] = [
                    "username": .string(requestor.username), "protocol": .string(requestor.protocol),
                    "address": .string(requestor.address),
                ]
            }
            metadata = .object(members)
        case .operation:
            metadata = try operation.map { try JSONValue(encoding: API.Operation($0)) }
        case .logging:
            metadata = .object([
                "message": .string(event.action),
                "level": .string(event.context["level"]?.string ?? "info"),
                "context": .object(event.context.filter { $0.key != "level" }.mapValues { JSONValue($0) }),
            ])
        }
    }
}
