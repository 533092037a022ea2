import HTTPTypes
import Model
import Testing
import WireTypes

@testable import RESTDoor

@Suite("who may do what") struct AccessTests {
    @Test("what the table does not name is for administrators")
    func standard() {
        for path in ["/1.0/anything", "/1.0/kernels", "/1.0/doctor", "/1.0/warnings", "/2.0"] {
            #expect(AccessRules.access(.post, path) == .administrator)
        }
    }

    @Test("strangers reach the server's face, joining, streams by secret, and metrics that are open")
    func strangers() async throws {
        try await DoorFixture.run { (door) async throws in
            let open = door.routes.filter { route in
                let parts = route.split(separator: " ").map(String.init)
                guard let method = HTTPRequest.Method(parts[0]) else { return true }
                return AccessRules.access(method, parts[1]) == .anyone
            }
            #expect(AccessRules.access(.get, "/1.0/images/:image") == .published)
            #expect(
                Set(open) == [
                    "GET /", "GET /1.0", "POST /1.0/certificates", "GET /1.0/operations/:id/websocket",
                    "GET /1.0/metrics",
                ])
        }
    }

    @Test("settings are stored, checked by name, and shown")
    func settings() async throws {
        try await DoorFixture.run { (door) async throws in
            #expect(try await door.call("PATCH", "/1.0", ["config": ["user.a": "b"]]).status == 200)
            #expect(try await door.call("GET", "/1.0").metadata["config"]?["user.a"] == "b")
            let refused = try await door.call("PATCH", "/1.0", ["config": ["core.nonsense": "1"]])
            #expect(refused.status == 400 && refused.error.contains("core.nonsense"))
            #expect(try await door.call("PUT", "/1.0", ["config": [:]]).status == 200)
            #expect(try await door.call("GET", "/1.0").metadata["config"]?["user.a"] == nil)
        }
    }

    @Test("the description has every route, and every schema it refers to")
    func description() async throws {
        try await DoorFixture.run { (door) async throws in
            let document = try await door.call("GET", "/1.0/openapi.json").json
            let paths = document["paths"]?.objectValue ?? [:]
            for route in door.routes {
                let parts = route.split(separator: " ").map(String.init)
                let path = OpenAPIDocument.template(parts[1]).path
                #expect(paths[path]?[parts[0].lowercased()] != nil, "\(route)")
            }
            let schemas = document["components"]?["schemas"]?.objectValue ?? [:]
            let text = JSONValue.object(paths).references
            #expect(!text.isEmpty && Set(text).isSubset(of: Set(schemas.keys)))
        }
    }

    @Test("projects have names, profiles and instances of their own")
    func projects() async throws {
        try await DoorFixture.run { (door) async throws in
            #expect(try await door.call("POST", "/1.0/projects", ["name": "lab"]).status == 201)
            #expect(try await door.call("POST", "/1.0/projects", ["name": "lab"]).status == 409)
            #expect(try await door.call("POST", "/1.0/projects", ["name": "a_b"]).status == 400)
            #expect(try await door.call("GET", "/1.0/profiles?project=lab").metadata.arrayValue?.count == 1)
            #expect(try await door.call("GET", "/1.0/projects/lab/state").metadata["resources"]?["instances"] != nil)
            #expect(try await door.call("DELETE", "/1.0/projects/lab").status == 200)
            #expect(try await door.call("DELETE", "/1.0/projects/default").status == 403)
            #expect(try await door.call("GET", "/1.0/projects/lab").status == 404)
        }
    }
}

extension JSONValue {
    /// Names of the schemas that are referred to.
    fileprivate var references: [String] {
        switch self {
        case .object(let members):
            members.flatMap { key, value -> [String] in
                if key == "$ref", let text = value.stringValue {
                    return text.split(separator: "/").suffix(1).map(String.init)
                }
                return value.references
            }
        case .array(let values): values.flatMap(\.references)
        default: []
        }
    }
}
