/**
 * The stack of the Express guide, with its limit raised: node app.mjs PORT
 * Or, with BENCH_PLAIN=1, Express and the route alone.
 */
import cookieParser from "cookie-parser";
import cors from "cors";
import { doubleCsrf } from "csrf-csrf";
import express from "express";
import { rateLimit } from "express-rate-limit";
import helmet from "helmet";
import jwt from "jsonwebtoken";

const SECRET = "a secret of thirty-two bytes, no less";
const ADA = { id: "user-1", email: "ada@example.com", role: "user" };
const plain = process.env.BENCH_PLAIN === "1";
const through = (req, res, next) => next();

function authenticate(req, res, next) {
  const header = req.headers.authorization;
  if (!header || !header.startsWith("Bearer ")) {
    return res.status(401).json({ statusCode: 401, error: "missing_token" });
  }
  try {
    req.user = jwt.verify(header.split(" ")[1], SECRET);
  } catch {
    return res.status(401).json({ statusCode: 401, error: "invalid_token" });
  }
  return next();
}

const authorize = (...roles) => (req, res, next) =>
  roles.includes(req.user.role) ? next() : res.status(403).json({ statusCode: 403 });

function protect(app) {
  // For all of the load together: here it comes from one address.
  app.use(
    rateLimit({ windowMs: 1000, limit: 10_000, standardHeaders: true, legacyHeaders: false }),
  );
  const allowed = ["https://app.example.com"];
  app.use(
    cors({
      origin: (origin, callback) =>
        !origin || allowed.includes(origin)
          ? callback(null, true)
          : callback(new Error("Not allowed by CORS")),
      credentials: true,
      methods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
      allowedHeaders: ["Content-Type", "Authorization"],
    }),
  );
  app.use(helmet());
  app.use(express.json());
  app.use(cookieParser());
  app.post("/api/auth/register", (req, res) => {
    res.json({ data: { accessToken: jwt.sign(ADA, SECRET, { expiresIn: "1h" }) } });
  });
  const { doubleCsrfProtection } = doubleCsrf({
    getSecret: () => SECRET,
    getSessionIdentifier: (req) => req.cookies.refreshToken ?? "",
    cookieName: "x-csrf-token",
    cookieOptions: { httpOnly: true, sameSite: "strict", secure: true },
    size: 64,
  });
  app.use(doubleCsrfProtection);
}

const app = express();
if (!plain) protect(app);
app.get(
  "/api/members/profile",
  plain ? through : authenticate,
  plain ? through : authorize("user", "admin"),
  (req, res) => {
    const { id, email, role } = req.user ?? ADA;
    res.json({ id, email, role });
  },
);
app.listen(Number(process.argv[2]), "127.0.0.1");
