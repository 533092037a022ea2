import HTTPTypes
import WireTypes

/// The description of the API in OpenAPI 3.1, made from the routes that there are and from the types of their bodies.
/// What it says of a body is read off the type itself, so that it cannot say something else than the code does.
struct OpenAPIDocument {
    /// As `GET /1.0/instances/:name`.
    let routes: [String]
    let version: String

    func json() throws -> JSONValue {
        let types = try OpenAPITypes()
        var paths: [String: [String: JSONValue]] = [:]
        for route in routes.sorted() {
            let parts = route.split(separator: " ").map(String.init)
            guard parts.count == 2 else { continue }
            let (path, parameters) = Self.template(parts[1])
            paths[path, default: [:]][parts[0].lowercased()] = operation(parts[0], parts[1], parameters, types)
        }
        return [
            "openapi": "3.1.0",
            "info": [
                "title": "Isle", "version": .string(version),
                "description": "LXD's REST API with Isle's additions, which are named isle_… in api_extensions.",
            ],
            "paths": .object(paths.mapValues { .object($0) }),
            "components": ["schemas": .object(types.schemas.merging(Self.envelopes) { $1 })],
        ]
    }

    /// `/1.0/instances/{name}` and the names in braces.
    static func template(_ path: String) -> (path: String, parameters: [String]) {
        var names: [String] = []
        let segments = path.split(separator: "/").map { segment -> String in
            guard segment.hasPrefix(":") else { return String(segment) }
            names.append(String(segment.dropFirst()))
            return "{\(segment.dropFirst())}"
        }
        return ("/" + segments.joined(separator: "/"), names)
    }

    private func operation(_ method: String, _ path: String, _ parameters: [String], _ types: OpenAPITypes) -> JSONValue
    {
        let body = types.body(method, path)
        var inputs = parameters.map { name -> JSONValue in
            ["name": .string(name), "in": "path", "required": true, "schema": ["type": "string", "minLength": 1]]
        }
        inputs.append(["name": "project", "in": "query", "schema": ["type": "string"]])
        var operation: [String: JSONValue] = [
            "operationId": .string(Self.identifier(method, path)), "parameters": .array(inputs),
            "responses": .object(responses(method, path, body)),
        ]
        if let request = body.request {
            operation["requestBody"] = [
                "content": ["application/json": ["schema": ["$ref": .string("#/components/schemas/\(request)")]]]
            ]
        }
        return .object(operation)
    }

    private func responses(_ method: String, _ path: String, _ body: OpenAPITypes.Body) -> [String: JSONValue] {
        func content(_ schema: JSONValue) -> JSONValue { ["application/json": ["schema": schema]] }
        var responses: [String: JSONValue] = [
            "4XX": [
                "description": "refused; nothing was changed",
                "content": content(["$ref": "#/components/schemas/Error"]),
            ],
            "5XX": [
                "description": "not possible on this host, or a fault",
                "content": content(["$ref": "#/components/schemas/Error"]),
            ],
        ]
        guard !body.isOpaque else {
            responses["2XX"] = ["description": "what was asked for"]
            responses["101"] = ["description": "the connection is a websocket from now on"]
            return responses
        }
        var envelope: JSONValue = ["$ref": "#/components/schemas/Sync"]
        if let response = body.response {
            let reference: JSONValue = ["$ref": .string("#/components/schemas/\(response)")]
            // Lists give paths unless recursion is asked for.
            let metadata: JSONValue =
                body.isList
                ? ["type": "array", "items": ["anyOf": [["type": "string"], reference]]] : reference
            envelope = [
                "allOf": [envelope, ["type": "object", "properties": ["metadata": metadata]]]
            ]
        }
        responses["200"] = ["description": "done", "content": content(envelope)]
        guard method != "GET" else { return responses }
        responses["201"] = ["description": "made", "content": content(["$ref": "#/components/schemas/Sync"])]
        responses["202"] = [
            "description": "work that goes on; its operation is in metadata",
            "content": content(["$ref": "#/components/schemas/Async"]),
        ]
        return responses
    }

    /// `get_instances_name`.
    private static func identifier(_ method: String, _ path: String) -> String {
        var words = [method.lowercased()]
        for segment in path.split(separator: "/") where segment != "1.0" {
            words.append(segment.filter { $0 != ":" && $0 != "." })
        }
        return words.joined(separator: "_")
    }

    private static let envelopes: [String: JSONValue] = [
        "Sync": envelope("sync", ["metadata": .object([:])]),
        "Async": envelope("async", ["operation": ["type": "string"], "metadata": ["type": "object"]]),
        "Error": envelope("error", ["error": ["type": "string"], "error_code": ["type": "integer"]]),
    ]

    private static func envelope(_ type: String, _ more: [String: JSONValue]) -> JSONValue {
        let common: [String: JSONValue] = [
            "type": ["const": .string(type)], "status": ["type": "string"], "status_code": ["type": "integer"],
        ]
        let properties = common.merging(more) { $1 }
        let required: [JSONValue] = properties.keys.sorted().map { JSONValue.string($0) }
        return ["type": "object", "properties": .object(properties), "required": .array(required)]
    }
}
