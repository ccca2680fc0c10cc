// A dashboard as Grafana's own types describe it, narrowed to what ours use: whatever else stands in a file is a mistake.
import type { AnnotationQuery, Dashboard, DataSourceRef, FieldConfig, GridPos, Panel, VariableModel } from '@grafana/schema';
import type * as candlestick from '@grafana/schema/dist/esm/raw/composable/candlestick/panelcfg/x/CandlestickPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON has the value of an enum's member, not its name.
type Json<T> = T extends string ? `${T}`
  : T extends readonly (infer One)[] ? Json<One>[]
  : T extends object ? { [K in keyof T]: Json<T[K]> }
  : T;

type Source = { type: 'grafana-postgresql-datasource'; uid: 'postgres' } & DataSourceRef;
type Query<Format> = { refId: string; format: Format; rawQuery: true; editorMode: 'code'; rawSql: string };
type Format = 'time_series' | 'table';

// Of a fieldConfig's overrides, the two properties that ours change.
type Override = { matcher: { id: 'byName' | 'byRegexp'; options: string }; properties: { id: 'unit'; value: string }[] };
type Shown<Custom> = {
  defaults: Json<Omit<FieldConfig, 'custom'>> & { unit?: string; noValue: string; custom?: Json<Custom> };
  overrides: Override[];
};
type Common = Omit<Json<Panel>, 'id' | 'type' | 'title' | 'description' | 'gridPos' | 'datasource' | 'targets' | 'fieldConfig' | 'options'> & {
  id: number; title: string; description: string; gridPos: GridPos;
};
type Kind<Type, Options, Custom> = Common & {
  type: Type; datasource: Source; targets: Query<Format>[]; options: Json<Partial<Options>>; fieldConfig: Shown<Custom> & { defaults: { unit: string } };
};
type Row = { id: number; type: 'row'; title: string; collapsed: boolean; gridPos: GridPos; panels: [] };
// The package has no types for this one's options.
type AlertList = Common & { type: 'alertlist'; options: Record<string, unknown>; fieldConfig: Shown<never> };

export type OurPanel =
  | Row
  | AlertList
  | Kind<'timeseries', timeseries.Options, timeseries.FieldConfig>
  | Kind<'candlestick', candlestick.Options, candlestick.FieldConfig>
  | Kind<'stat', stat.Options, never>
  | Kind<'table', table.Options, table.FieldConfig>;

export type OurDashboard = Omit<Json<Dashboard>, 'uid' | 'title' | 'schemaVersion' | 'panels' | 'annotations' | 'templating'> & {
  uid: string; title: string; schemaVersion: 42; panels: OurPanel[];
  annotations: { list: (Omit<Json<AnnotationQuery>, 'target' | 'datasource'> & { datasource: Source; target: Query<'table'> })[] };
  templating: { list: (Omit<Json<VariableModel>, 'datasource'> & { datasource: Source })[] };
};
