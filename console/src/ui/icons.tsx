// The few icons of the navigation, as lines in the colour of their text.

const PATHS = {
  overview: "M2 12h3l2.5-8 4 12 2.5-6H18",
  records: "M3 4h14M3 8h14M3 12h9M3 16h6",
  providers: "M5 15a4 4 0 1 1 .6-7.9A5 5 0 0 1 15.2 8.5 3.3 3.3 0 0 1 15 15z",
  configure: "M3 5h8M15 5h2M3 10h2M9 10h8M3 15h6M13 15h4M13 3v4M7 8v4M11 13v4",
  revisions: "M10 2v5M10 13v5M10 7a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  rollouts: "M2 16c5 0 5-3 8-6s4-6 8-6M14 3h4v4",
  environments: "M3 7l7-4 7 4-7 4zM3 11l7 4 7-4M3 14.5l7 4 7-4",
  consumers: "M7 10a3.5 3.5 0 1 1 3.4-4.5H18v3h-2v2h-3V8.5h-2.6A3.5 3.5 0 0 1 7 10zM3 17h14",
  versions: "M5 3v14M5 6h6a3 3 0 0 1 3 3v5M14 14v3M3 3h4M3 17h4M12 17h4",
  playground: "M4 4l6 6-6 6M11 16h6",
  audit: "M10 2l6 2.5V10c0 4-2.6 6.6-6 8-3.4-1.4-6-4-6-8V4.5zM7.5 10l2 2 3.5-4",
  firewall: "M2 4h16v12H2zM2 8h16M2 12h16M7 4v4M13 8v4M7 12v4",
  notifications: "M5 14V9a5 5 0 0 1 10 0v5l1.5 2h-13zM8.5 17a1.5 1.5 0 0 0 3 0",
  delivery: "M3 16V4M3 16h14M6 13l3-4 3 2 4-6M13 5h3v3",
  objectives: "M10 3a7 7 0 1 0 7 7M10 6.5a3.5 3.5 0 1 0 3.5 3.5M10 10l6-6M13.5 3.5V6.5H16.5",
  incidents: "M10 2.5l8 14H2zM10 8v4M10 14.5v.5",
  jobs: "M3 5h14M3 10h9M3 15h5M14 13l2 2 3-4",
  subscribers: "M4 10h4M8 10l6-5M8 10l6 5M14 5h2M14 15h2M8 10h8",
  queries: "M10 3c4 0 6 1 6 2.2v9.6c0 1.2-2 2.2-6 2.2s-6-1-6-2.2V5.2C4 4 6 3 10 3zM4 5.2C4 6.4 6 7.4 10 7.4s6-1 6-2.2M4 10c0 1.2 2 2.2 6 2.2s6-1 6-2.2",
  runbooks: "M5 3h10v14H5zM8 7h4M8 10h4M8 13h2",
  diagnosis: "M8.5 3a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM12.5 12.5L18 18M6 8.5h1.5l1-2 1 4 1-2H12",
  experiments: "M7 2.5h6M8 2.5v5L3.5 16a1.2 1.2 0 0 0 1 1.8h11a1.2 1.2 0 0 0 1-1.8L12 7.5v-5M5.8 12.5h8.4",
  menu: "M3 5h14M3 10h14M3 15h14",
  sun: "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2M4 4l1.4 1.4M14.6 14.6L16 16M4 16l1.4-1.4M14.6 5.4L16 4",
} as const;

/** Names of icons. */
export type IconName = keyof typeof PATHS;

/** One icon; what it means is said by the text beside it. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg viewBox="0 0 20 20" width="16" height="16" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
