import { render } from "preact";
import { readEarly } from "./api";
import { App } from "./app";
import { placeOf } from "./router";
import { FIRST } from "./screens/now";
import "./style.css";

if (placeOf(location.hash).screen === "now") readEarly(FIRST);
const root = document.getElementById("app");
if (root) render(<App />, root);
